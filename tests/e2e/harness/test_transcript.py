"""Tests of the comparison itself: a walk that accepts anything proves nothing. `python3 -m unittest discover tests/e2e`."""
import os
import pathlib
import unittest

from .transcript import parse, pattern, perform

HERE = pathlib.Path(__file__).parent


def page(*lines):
    return "\n".join(["# Page", "```console", *lines, "```", "```sh", "$ not this", "```"])


def performed(*lines):
    for command in parse(page(*lines)):
        perform(command, HERE, os.environ)


class Transcript(unittest.TestCase):
    def test_commands_of_several_lines_and_their_output(self):
        first, second = parse(page("$ echo a \\", ">   b", "a b", "", "$ true"))
        self.assertEqual((first.line, first.text, first.expected), (3, "echo a \\\n  b", ["a b", ""]))
        self.assertEqual((second.text, second.expected), ("true", []))

    def test_dots_stand_for_text_or_lines(self):
        matches = pattern(["NAME   AGE", "…", "job-… Running …", "end"]).fullmatch
        self.assertTrue(matches("NAME AGE\njob-1   Running   5s\nend\n"))
        self.assertTrue(matches("NAME AGE\nx\ny\njob-1   Running   5s\nend\n"))
        self.assertFalse(matches("NAME AGE\njob-1   Failed   5s\nend\n"))
        self.assertFalse(matches("NAME AGE\njob-1   Running   5s\nend\nmore\n"))
        self.assertFalse(pattern([]).fullmatch("anything\n"))

    def test_what_is_shown_must_be_printed(self):
        performed("$ printf 'a  b\\n'", "a b", "$ printf 'no end of line'", "no end of line", "$ true")
        for wrong in (["$ echo a"], ["$ echo a", "b"], ["$ false"], ["$ echo a; false", "a"], ["$ false | cat"]):
            with self.assertRaises(AssertionError, msg=wrong):
                performed(*wrong)
        performed("$ echo Error: no such thing; false", "Error: …")

    def test_ctrl_c_ends_what_goes_on_once_all_is_printed(self):
        performed("$ echo a; sleep 0.2; echo b; sleep 600", "a", "b", "^C")
        with self.assertRaises(AssertionError):
            performed("$ echo a", "b", "^C")

    def test_output_without_a_command_is_a_mistake_of_the_page(self):
        with self.assertRaises(ValueError):
            parse(page("a"))
