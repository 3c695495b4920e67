"""Prometheus metrics: requests as this process saw them, and the pipeline's state as the database has it."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from discovery_service.db.sessions import Sessions
from discovery_service.db.tables import Campaign, CampaignProgress, Worker
from discovery_service.domain.states import CampaignStatus
from discovery_service.engine.work import WORK_KINDS, is_due
from discovery_service.engine.workers import LOST_AFTER


class HttpMetrics:
    """Rate, errors and duration by route template; a path with ids in it would make a series of each."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "discovery_http_request_seconds",
            "Duration of HTTP requests.",
            ("method", "route", "status"),
            registry=registry,
        )

    def observe(self, *, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "OTHER"
        self._seconds.labels(known, route, str(status)).observe(seconds)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class PipelineMetrics(Collector):
    """Queried at scrape time, so that any API process tells the same and none keeps counters of its own."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        with self._sessions() as session:
            yield from _work(session)
            yield from _campaigns(session)


def _work(session: Session) -> list[Metric]:
    rows = GaugeMetricFamily("discovery_work", "Pieces of work by kind and status.", labels=("kind", "status"))
    oldest = GaugeMetricFamily(
        "discovery_oldest_waiting_seconds",
        "Age of the oldest piece of work that a worker could take.",
        labels=("kind",),
    )
    for kind in WORK_KINDS:
        for status, count in session.execute(select(kind.table.status, func.count()).group_by(kind.table.status)):
            rows.add_metric([kind.name, status.value], count)
        # Of an attempt before, when that began.
        since = func.min(func.coalesce(kind.table.started_at, kind.table.created_at))
        waiting = select(since).join(Campaign, Campaign.id == kind.table.campaign_id)
        waiting = waiting.where(
            kind.table.status == kind.waiting, is_due(kind), Campaign.status == CampaignStatus.RUNNING
        )
        age = session.scalar(select(func.extract("epoch", func.now() - waiting.scalar_subquery())))
        oldest.add_metric([kind.name], float(age or 0))
    # No counters, here and of what models cost: a retry begins anew, and a question that is asked again is charged
    # when it ends, so that these may fall, which a counter's reader takes for a new beginning.
    crashes = GaugeMetricFamily("discovery_crashes", "Attempts that ended by our own fault.", labels=("kind",))
    for kind in WORK_KINDS:
        crashes.add_metric([kind.name], session.scalar(select(func.sum(kind.table.crashes))) or 0)
    return [rows, oldest, crashes]


def _campaigns(session: Session) -> list[Metric]:
    campaigns = GaugeMetricFamily("discovery_campaigns", "Campaigns by status.", labels=("status",))
    counts = select(Campaign.status, func.count()).where(Campaign.deleted_at.is_(None)).group_by(Campaign.status)
    for status, count in session.execute(counts):
        campaigns.add_metric([status.value], count)
    spent = session.execute(
        select(
            func.coalesce(func.sum(CampaignProgress.cost_usd), 0),
            func.coalesce(func.sum(CampaignProgress.tokens), 0),
            func.coalesce(func.sum(CampaignProgress.device_seconds), 0),
        )
    ).one()
    cost = GaugeMetricFamily("discovery_llm_cost_usd", "Dollars spent on language models.", value=float(spent[0]))
    tokens = GaugeMetricFamily("discovery_llm_tokens", "Tokens read and written by language models.", value=spent[1])
    device = CounterMetricFamily("discovery_device_seconds", "Seconds that devices trained.", value=spent[2])
    alive = select(func.count()).select_from(Worker)
    alive = alive.where(Worker.stopped_at.is_(None), Worker.seen_at > func.now() - LOST_AFTER)
    workers = GaugeMetricFamily("discovery_workers", "Workers seen within a minute.", value=session.scalar(alive) or 0)
    return [campaigns, cost, tokens, device, workers]
