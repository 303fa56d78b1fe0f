"""Tables laid out to a width: what gives way, and in which order."""

import pytest

from hwsim.report.render import fact_lines, html_table, latex_table, markdown_table
from hwsim.report.table import Column, Layout, Table, laid_out, wrapped
from hwsim.report.words import printable, shortened


def table(*columns, rows=(("a-rather-long-name-1", "12", "words"),), total=None):
    return Table(columns, rows, total)


NAME, COUNT, WORD = Column("name", overflow="middle"), Column("n", numeric=True), Column("word", drop=1)


def test_columns_stand_two_blanks_apart_and_numbers_to_the_right():
    shown = laid_out(table(NAME, COUNT, WORD, rows=[("a", "5", "x"), ("bc", "123", "yz")], total=("all", "128", "")))
    assert shown == Layout("name    n  word", ("a       5  x", "bc    123  yz"), ("all   128",))


def test_what_gives_way_first():
    wide = table(NAME, COUNT, WORD)
    # 20 + 2 + 2 + 2 + 5 = 31 characters; with single blanks 29; then the name, to 20 at least; then the last column.
    assert laid_out(wide, 31).rows == ("a-rather-long-name-1  12  words",)
    assert laid_out(wide, 29).rows == ("a-rather-long-name-1 12 words",)
    assert laid_out(wide, 28).rows == ("a-rather-long-name-1  12",)
    # Nothing is left to leave out: the name again, to 12 at least.
    assert laid_out(wide, 20).rows == ("a-rat…ong-name-1  12",)
    assert laid_out(wide, 5).rows == ("a-ra…-name-1 12",)
    assert laid_out(wide, None).rows == ("a-rather-long-name-1  12  words",)


def test_the_end_or_the_line_may_give_way():
    text = "one two three four five six"
    end = Table((Column("k"), Column("text", overflow="end")), [("x", text)])
    assert laid_out(end, 20).rows == ("x  one two three fo…",)
    wrap = Table((Column("k"), Column("text", overflow="wrap")), [("x", text), ("y", "")])
    assert laid_out(wrap, 20).rows == ("x  one two three", "   four five six", "y")


def test_an_empty_table_has_a_header():
    assert laid_out(Table((NAME, COUNT), [])) == Layout("name  n", (), ())


def test_names_keep_their_end():
    assert shortened("block_17/depthwise/conv", 12) == "bloc…se/conv"
    assert len(shortened("block_17/depthwise/conv", 12)) == 12


@pytest.mark.parametrize("text", ["a\nb", "a\x1bb", "a\u202eb", "a\x00b", "a\tb"])
def test_what_a_terminal_acts_on_is_not_shown(text):
    assert printable(text) == "a�b"
    assert laid_out(Table((NAME,), [(text,)])).rows == ("a�b",)
    for form in (markdown_table, latex_table, html_table):
        assert text not in form(Table((NAME,), [(text,)]))


def test_markdown_escapes_what_it_would_act_on():
    cells = ["a|b", "<i>", "[x](y)", "a_b", "_a_", "`c`", "*d*", "\\e", "t [ms]", "&amp;"]
    row = markdown_table(Table((NAME,), [(cell,) for cell in cells])).splitlines()[2:]
    assert row == [
        r"| a\|b |",
        "| &lt;i&gt; |",
        r"| [x\](y) |",
        "| a_b |",
        r"| \_a\_ |",
        r"| \`c\` |",
        r"| \*d\* |",
        r"| \\e |",
        "| t [ms] |",
        "| &amp;amp; |",
    ]


def test_latex_escapes_every_special_character():
    special = "# $ % & _ { } ~ ^ \\ < > [ ] × µ – …"
    line = latex_table(Table((NAME, COUNT), [(special, "1")], ("sum", "1")))
    assert line == "\n".join(
        [
            r"\begin{tabular}{lr}",
            r"\toprule",
            r"name & n \\",
            r"\midrule",
            r"\# \$ \% \& \_ \{ \} \textasciitilde{} \textasciicircum{} \textbackslash{} \textless{} \textgreater{}"
            r" {[} {]} $\times$ \textmu{} -- \dots{} & 1 \\",
            r"\midrule",
            r"sum & 1 \\",
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def test_a_number_is_not_parted_from_its_unit():
    assert wrapped("weights take 18.0 KiB of it", 18) == ["weights take", "18.0 KiB of it"]
    assert wrapped("one two three four", 9) == ["one two", "three", "four"]
    assert wrapped("a " + "b" * 20, 10) == ["a", "b" * 20]


def test_facts_with_one_label_share_it():
    from hwsim.report.facts import Fact

    told = [Fact("total", "7 MAC"), Fact("left out", "one two three four"), Fact("left out", "five")]
    assert fact_lines(told, 24) == [
        "total     7 MAC",
        "left out  one two three",
        "            four",
        "          five",
    ]
