"""What is said of an error that nobody foresaw."""

from imfl_engine.redacting import use_key
from imfl_tui.problems import unexpected


def test_an_unforeseen_error_is_told_without_the_key_that_it_quotes():
    key = use_key("plain0secret7of5no1known3form")
    told = unexpected(RuntimeError(f"header was {key}"))
    assert key not in told.message
    assert "RuntimeError: header was [key]" in told.message
