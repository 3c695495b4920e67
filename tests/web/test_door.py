"""Who gets in with a browser, and that a browser can be made to change nothing."""

import httpx2
import pytest

from discovery_service.db.sessions import Sessions
from discovery_service.domain.access import Scope
from discovery_service.web.door import COOKIE
from tests.api.serving import make_key
from tests.api.test_exports import played


def test_without_a_key_a_page_leads_to_the_entrance_and_from_there_back(
    stranger: httpx2.Client, sessions: Sessions, token: str
) -> None:
    path = f"/campaigns/{played(sessions, 0.5).campaign_id}"
    shown = stranger.get(path)
    assert (shown.status_code, shown.headers["location"]) == (303, f"/enter?to={path}")
    form = stranger.get(shown.headers["location"])
    assert (form.status_code, f'value="{path}"' in form.text) == (200, True)
    entered = stranger.post("/enter", data={"key": f" {token} ", "to": path})
    assert (entered.status_code, entered.headers["location"]) == (303, path)
    assert stranger.get(path).status_code == 200
    assert stranger.post("/leave").status_code == 303
    assert stranger.get(path).status_code == 303


def test_a_key_that_does_not_open_is_said_so_and_gives_no_cookie(stranger: httpx2.Client) -> None:
    for key in ("", "dls_wrong", "dls_\u2665", "a\r\nb"):
        answer = stranger.post("/enter", data={"key": key, "to": "/"})
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)

        assert "mistyped, unknown, expired or revoked" in answer.text


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a b"]
)
def test_the_entrance_leads_to_no_other_site(stranger: httpx2.Client, token: str, to: str) -> None:
    assert stranger.post("/enter", data={"key": token, "to": to}).headers["location"] == "/"
    assert 'name="to" value="/"' in stranger.get("/enter", params={"to": to}).text


def test_a_key_comes_only_from_our_own_page(stranger: httpx2.Client, token: str) -> None:
    answer = stranger.post("/enter", data={"key": token}, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_a_browser_says_that_our_page_is_ours(stranger: httpx2.Client, token: str) -> None:
    """It sends the origin of a form only where the page's policy lets it; with `no-referrer` it says null."""
    assert stranger.get("/enter").headers["referrer-policy"] == "same-origin"
    own = str(stranger.base_url).rstrip("/")
    answer = stranger.post("/enter", data={"key": token}, headers={"Origin": own})
    assert (answer.status_code, "set-cookie" in answer.headers) == (303, True)


def test_behind_a_proxy_with_tls_the_cookie_never_travels_in_the_clear(stranger: httpx2.Client, token: str) -> None:
    host = stranger.base_url.netloc.decode()
    for origin, is_secure in ((f"https://{host}", True), (f"http://{host}", False)):
        answer = stranger.post("/enter", data={"key": token}, headers={"Origin": origin})
        words = {each.strip() for each in answer.headers["set-cookie"].lower().split(";")}
        assert ("secure" in words) == is_secure


def test_the_cookie_is_for_this_browser_alone(stranger: httpx2.Client, token: str) -> None:
    cookie = stranger.post("/enter", data={"key": token}).headers["set-cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/"} <= {each.strip() for each in cookie.split(";")}
    assert "max-age" not in cookie


def test_the_cookie_opens_no_route_of_the_api(browser: httpx2.Client) -> None:
    for method, path in (("GET", "/v1/campaigns"), ("POST", "/v1/campaigns"), ("GET", "/v1/leaderboard")):
        assert browser.request(method, path, json={}).status_code == 401


def test_a_cookie_that_is_no_key_leads_to_the_entrance(stranger: httpx2.Client) -> None:
    for value in ("dls_old", "%00", "x" * 5_000):
        stranger.cookies.set(COOKIE, value)
        assert stranger.get("/").status_code == 303


def test_a_key_that_may_not_export_reads_and_is_told_what_it_lacks(url: str, sessions: Sessions) -> None:
    won = played(sessions, 0.5)
    with httpx2.Client(base_url=url) as client:
        client.post("/enter", data={"key": make_key(sessions, Scope.CAMPAIGNS_READ)})
        assert client.get(f"/campaigns/{won.campaign_id}").status_code == 200
        refused = client.get(f"/campaigns/{won.campaign_id}/module")
    assert (refused.status_code, "exports:read" in refused.text) == (403, True)


def test_every_page_forbids_scripts_frames_and_foreign_forms(browser: httpx2.Client, stranger: httpx2.Client) -> None:
    answers = [browser.get(path) for path in ("/", "/campaigns/x")]
    answers += [stranger.get(path) for path in ("/", "/enter", "/static/page.css")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<style" not in answers[0].text
    assert " style=" not in answers[0].text


def test_the_style_sheet_is_there_for_everybody(stranger: httpx2.Client) -> None:
    answer = stranger.get("/static/page.css")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
