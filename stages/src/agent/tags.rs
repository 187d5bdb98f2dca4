//! The tag scaffold: `<reasoning>`, then `<code>` (or `<python>`) or `<answer>`.
//!
//! The first action counts and the message is cut behind it. What stands in `<reasoning>` is no action. Code ends at the
//! first closing tag that does not lie in a string of its own, so code may print the tags. An action that is not closed
//! goes to the end of the message, unless the message was cut off at the token limit. Markdown fences around the code
//! are taken off.

use super::python_text::ends_inside_string;
use super::scaffold::{Action, Parsed};

const OPENING: [(&str, &str, Kind); 3] = [
    ("<code>", "</code>", Kind::Code),
    ("<python>", "</python>", Kind::Code),
    ("<answer>", "</answer>", Kind::Answer),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Answer,
}

/// Reads a message; `cut_off` says that the token limit ended it.
pub(super) fn parse(text: &str, cut_off: bool) -> Parsed {
    let text = text.trim();
    let problem = |content: &str, problem: &str| Parsed {
        content: if content.is_empty() {
            "(no text)".to_owned()
        } else {
            content.to_owned()
        },
        tool_call: None,
        action: Action::Problem(problem.to_owned()),
    };
    if text.is_empty() {
        return problem("", "Your message was empty.");
    }
    let Some((start, opening, closing, kind)) = first_action(text) else {
        let why = if cut_off {
            "Your message reached the token limit before any action; be shorter."
        } else if text.contains("<information>") {
            "Your message held no action; text between <information> tags is written by the sandbox alone."
        } else if text.contains("```") {
            "Your message held no action: a Markdown fence does not run."
        } else {
            "Your message held no action."
        };
        return problem(text, why);
    };
    let body_start = start + opening.len();
    let (body, closed) = match closing_tag(&text[body_start..], closing, kind) {
        Some(length) => (&text[body_start..body_start + length], true),
        None => (&text[body_start..], false),
    };
    if !closed && cut_off {
        return problem(
            text,
            "Your message reached the token limit within its action, which was not carried out; be shorter.",
        );
    }
    let body = if kind == Kind::Code {
        strip_fence(body)
    } else {
        body.trim()
    };
    if body.is_empty() {
        return problem(text, "The action of your message was empty.");
    }
    let (open, close) = if kind == Kind::Code {
        ("<code>", "</code>")
    } else {
        ("<answer>", "</answer>")
    };
    let separator = if kind == Kind::Code { "\n" } else { "" };
    let content = format!(
        "{}{open}{separator}{body}{separator}{close}",
        &text[..start]
    );
    let action = if kind == Kind::Code {
        Action::Code(body.to_owned())
    } else {
        Action::Answer(body.to_owned())
    };
    Parsed {
        content: content.trim().to_owned(),
        tool_call: None,
        action,
    }
}

/// The first opening tag of an action outside of `<reasoning>` and before any invented `<information>`.
fn first_action(text: &str) -> Option<(usize, &'static str, &'static str, Kind)> {
    let mut from = 0;
    loop {
        let rest = &text[from..];
        let action = OPENING
            .iter()
            .filter_map(|(opening, closing, kind)| {
                rest.find(opening)
                    .map(|at| (from + at, *opening, *closing, *kind))
            })
            .min_by_key(|(at, ..)| *at);
        let reasoning = rest.find("<reasoning>").map(|at| from + at);
        let invented = rest.find("<information>").map(|at| from + at);
        match (action, reasoning) {
            // A closed block of reasoning is passed over whole; an open one only by its tag.
            (Some((at, ..)), Some(reasoning)) if reasoning < at => {
                let inside = reasoning + "<reasoning>".len();
                from = text[inside..]
                    .find("</reasoning>")
                    .map_or(inside, |end| inside + end + "</reasoning>".len());
            }
            (Some((at, ..)), _) if invented.is_some_and(|invented| invented < at) => return None,
            (action, _) => return action,
        }
    }
}

/// The length of the action's body, if it is closed.
fn closing_tag(rest: &str, closing: &str, kind: Kind) -> Option<usize> {
    let mut places = rest.match_indices(closing).map(|(at, _)| at);
    if kind == Kind::Answer {
        return places.next();
    }
    let first = rest.find(closing)?;
    // Where every place seems to lie in a string, the string is the one that is broken.
    Some(
        places
            .find(|at| !ends_inside_string(&rest[..*at]))
            .unwrap_or(first),
    )
}

fn strip_fence(code: &str) -> &str {
    let trimmed = code.trim_matches(['\n', '\r']).trim_end();
    let inner = trimmed.trim_start();
    let Some(rest) = inner.strip_prefix("```") else {
        // Leading blanks are kept: they may be the indentation of a first line, which Python will speak of.
        return if trimmed.trim().is_empty() {
            ""
        } else {
            trimmed
        };
    };
    let rest = rest.split_once('\n').map_or("", |(_language, rest)| rest);
    rest.trim_end()
        .strip_suffix("```")
        .unwrap_or(rest)
        .trim_end()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn action(text: &str) -> Action {
        parse(text, false).action
    }

    fn code(text: &str) -> Action {
        Action::Code(text.to_owned())
    }

    fn is_problem(text: &str) -> bool {
        matches!(action(text), Action::Problem(_))
    }

    #[test]
    fn code_is_what_stands_between_the_tags() {
        assert_eq!(
            action("<reasoning>look</reasoning>\n<code>\nprint(1)\n</code>"),
            code("print(1)")
        );
    }

    #[test]
    fn python_tags_are_code_tags() {
        let parsed = parse("<python>print(1)</python>", false);
        assert_eq!(parsed.action, code("print(1)"));
        assert_eq!(parsed.content, "<code>\nprint(1)\n</code>");
    }

    #[test]
    fn the_answer_is_what_stands_between_the_tags() {
        assert_eq!(
            action("so <answer> @mean[3.1] </answer> bye"),
            Action::Answer("@mean[3.1]".to_owned())
        );
    }

    #[test]
    fn of_several_actions_the_first_counts_and_the_rest_is_cut() {
        let parsed = parse(
            "<code>a = 1</code> then <code>b = 2</code><answer>3</answer>",
            false,
        );
        assert_eq!(parsed.action, code("a = 1"));
        assert_eq!(parsed.content, "<code>\na = 1\n</code>");
    }

    #[test]
    fn tags_inside_reasoning_are_prose() {
        assert_eq!(
            action("<reasoning>I will use <code> and <answer>x</answer></reasoning><code>y</code>"),
            code("y")
        );
        assert!(is_problem(
            "<reasoning>only <code>x</code> here</reasoning>"
        ));
    }

    #[test]
    fn unclosed_reasoning_does_not_hide_the_action() {
        assert_eq!(
            action("<reasoning>let me see\n<code>x = 1</code>"),
            code("x = 1")
        );
    }

    #[test]
    fn tags_inside_strings_do_not_end_the_code() {
        assert_eq!(
            action("<code>print('</code>')\nprint(2)</code>"),
            code("print('</code>')\nprint(2)")
        );
        assert_eq!(
            action("<code>print(\"<answer>1</answer>\")</code>"),
            code("print(\"<answer>1</answer>\")")
        );
    }

    #[test]
    fn a_broken_string_does_not_swallow_the_closing_tag() {
        assert_eq!(
            action("<code>print(\"\"\"oops)</code>"),
            code("print(\"\"\"oops)")
        );
    }

    #[test]
    fn an_unclosed_action_goes_to_the_end() {
        assert_eq!(action("<code>print(1)"), code("print(1)"));
        assert_eq!(action("<answer>@a[1]"), Action::Answer("@a[1]".to_owned()));
    }

    #[test]
    fn an_action_cut_off_at_the_token_limit_is_not_carried_out() {
        assert!(matches!(
            parse("<code>import shutil; shutil.rmtree(", true).action,
            Action::Problem(_)
        ));
        assert_eq!(parse("<code>x</code> and the", true).action, code("x"));
    }

    #[test]
    fn fences_are_taken_off() {
        assert_eq!(
            action("<code>\n```python\nprint(1)\n```\n</code>"),
            code("print(1)")
        );
        assert_eq!(action("<code>```\nprint(1)</code>"), code("print(1)"));
        assert!(is_problem("```python\nprint(1)\n```"));
    }

    #[test]
    fn empty_actions_and_messages_are_problems() {
        for text in [
            "",
            "  \n",
            "<code></code>",
            "<code>\n\n</code>",
            "<answer> </answer>",
            "just talk",
            "</code>",
            "<code>```python\n```</code>",
        ] {
            assert!(is_problem(text), "{text:?}");
        }
    }

    #[test]
    fn invented_information_is_a_problem() {
        assert!(is_problem(
            "<information>42</information><answer>42</answer>"
        ));
    }

    #[test]
    fn indentation_of_the_first_line_is_kept_for_python_to_judge() {
        assert_eq!(action("<code>\n  x = 1\n</code>"), code("  x = 1"));
    }

    proptest! {
        #[test]
        fn every_text_has_a_meaning(text in "(<code>|</code>|<answer>|</answer>|<reasoning>|</reasoning>|<information>|```|'|\"|\\\\|\n|é|[a-z ]{0,4}){0,24}", cut_off: bool) {
            let parsed = parse(&text, cut_off);
            prop_assert!(!parsed.content.is_empty());
            prop_assert_eq!(parsed.content.trim(), &parsed.content);
            if let Action::Code(body) | Action::Answer(body) = &parsed.action {
                prop_assert!(!body.trim().is_empty());
            }
        }

        #[test]
        fn reading_what_was_read_changes_nothing(text in "(<code>|</code>|<answer>|</answer>|<reasoning>|</reasoning>|[a-z =1\n]{0,6}){0,12}") {
            let once = parse(&text, false);
            if !matches!(once.action, Action::Problem(_)) {
                let twice = parse(&once.content, false);
                prop_assert_eq!(&twice.action, &once.action);
                prop_assert_eq!(&twice.content, &once.content);
            }
        }
    }
}
