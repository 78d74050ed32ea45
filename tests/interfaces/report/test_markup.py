"""Text never becomes markup by accident."""

from mplug.interfaces.report.markup import Markup, element, joined


def test_text_is_escaped_and_markup_is_not() -> None:
    inner = element("b", "<script> & co")
    assert element("p", inner, "a < b") == "<p><b>&lt;script&gt; &amp; co</b>a &lt; b</p>"
    assert joined("<", Markup("<br>")) == "&lt;<br>"


def test_attributes_cannot_be_broken_out_of() -> None:
    assert element("img", alt='"><script>', class_="a") == (
        '<img alt="&quot;&gt;&lt;script&gt;" class="a">'
    )


def test_attribute_names_are_spelled_as_html_spells_them() -> None:
    assert element("a", aria_label="x", open=True, hidden=False, x1=0.5) == (
        '<a aria-label="x" open x1="0.5"></a>'
    )
