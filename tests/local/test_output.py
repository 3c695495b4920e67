"""Lines come out whole, under a name, and a closed stream is noticed rather than raised."""

import os

from discovery_service.local.output import MAX_LINE_BYTES, LineReader, Output


def test_lines_cut_by_the_pipe_are_put_together_again() -> None:
    read_end, write_end = os.pipe()
    reader = LineReader(read_end, "api")
    assert reader.read() == []
    os.write(write_end, b"one\ntw")
    assert reader.read() == [b"one"]
    os.write(write_end, b"o\nthree")
    os.close(write_end)
    assert reader.read() == [b"two"]
    assert reader.read() == [b"three"]
    assert reader.is_at_end
    os.close(read_end)


def test_a_line_without_end_does_not_grow_for_ever() -> None:
    read_end, write_end = os.pipe()
    reader = LineReader(read_end, "api")
    os.write(write_end, b"x" * MAX_LINE_BYTES)
    assert reader.read() == [b"x" * MAX_LINE_BYTES]
    os.close(write_end)
    os.close(read_end)


def test_each_line_carries_its_name_and_no_colour_outside_a_terminal() -> None:
    read_end, write_end = os.pipe()
    Output(write_end).write("api", b"hello")
    assert os.read(read_end, 100) == b"api       | hello\n"
    os.close(read_end)
    os.close(write_end)


def test_a_stream_that_nobody_reads_any_more_is_noticed() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    output = Output(write_end)
    output.say("hello")
    assert output.is_closed
    os.close(write_end)
