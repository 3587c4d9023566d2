"""The page about the command line is made from the commands themselves."""

from lbctl.cli.catalogue import COMMANDS
from lbctl.cli.failure import MEANING
from lbctl.cli.reference import reference

PAGE = reference()


def test_the_page_has_a_section_for_every_command_and_every_sub_command() -> None:
    for name in COMMANDS:
        assert f"\n## lbctl {name}\n" in PAGE
    for name in ("release wait", "config render", "envoy start", "notify test"):
        assert f"\n### lbctl {name}\n" in PAGE


def test_the_page_lists_every_exit_code() -> None:
    for code in MEANING:
        assert f"| {int(code)} | " in PAGE


def test_every_option_says_what_it_means() -> None:
    for line in PAGE.splitlines():
        if line.startswith("| `-"):
            assert len(line.rsplit(" | ", 1)[1].strip(" |")) > 10, line


def test_every_command_that_changes_something_takes_a_reason() -> None:
    for name in (
        "adopt",
        "maintenance",
        "switch",
        "pause",
        "resume",
        "promote",
        "rollback",
        "release cancel",
        "freeze add",
    ):
        section = PAGE.split(f" lbctl {name}\n", 1)[1].split("\n#", 1)[0]
        assert "`--reason TEXT`" in section, name


def test_every_command_that_prints_data_can_print_json() -> None:
    for section in PAGE.split("\n#")[1:]:
        title = section.splitlines()[0].lstrip("# ")
        one_form = (
            "lbctl completion",
            "lbctl gate",
            "lbctl config schema",
            "lbctl config render",
            "lbctl judge",
            "Exit codes",
            "Command line",
        )
        if "```" in section and title not in one_form:
            assert "--json" in section, title
