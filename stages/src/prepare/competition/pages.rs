//! A competition's pages as people of Kaggle wrote them, HTML or Markdown, made plain Markdown for agents.
//!
//! Pictures, scripts, comments and the query strings of links are gone; what is left is bounded. Pure and total.

use std::sync::LazyLock;

use htmd::HtmlToMarkdown;
use synth_core::CONTROL_TOKENS;

/// More of a page is not looked at.
const MOST_READ_BYTES: usize = 200_000;
/// Elements in elements, at most, that are converted as a tree; a page deeper than any person's loses its tags instead.
const MOST_DEPTH: usize = 200;

/// Elements whose content is not for readers.
const SKIPPED: [&str; 15] = [
    "script", "style", "img", "picture", "figure", "iframe", "svg", "video", "audio", "object",
    "embed", "noscript", "form", "head", "title",
];
/// Elements that make a page HTML rather than Markdown.
const BLOCKS: [&str; 16] = [
    "p",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "li",
    "table",
    "pre",
    "blockquote",
    "section",
    "html",
];
/// Elements that end by themselves where another begins, and those that hold nothing.
const SHALLOW: [&str; 20] = [
    "p", "li", "td", "th", "tr", "dt", "dd", "option", "tbody", "thead", "br", "img", "hr",
    "input", "meta", "link", "col", "area", "source", "wbr",
];

static CONVERTER: LazyLock<HtmlToMarkdown> = LazyLock::new(|| {
    let options = htmd::options::Options {
        bullet_list_marker: htmd::options::BulletListMarker::Dash,
        ul_bullet_spacing: 1,
        ol_number_spacing: 1,
        ..htmd::options::Options::default()
    };
    HtmlToMarkdown::builder()
        .options(options)
        .skip_tags(SKIPPED.to_vec())
        .build()
});

/// The page as plain Markdown, its end cut off behind `most` characters.
pub(super) fn clean(page: &str, most: usize) -> String {
    let page = without_comments(head(page, MOST_READ_BYTES));
    let page = page
        .replace("\r\n", "\n")
        .replace(['\r', '\u{b}', '\u{c}'], "\n");
    let is_html = page.trim_start().starts_with('<') && has_block(&page);
    let plain = if is_html {
        converted(&page)
    } else {
        let block = |block: &str| {
            let opens = block.trim_start().starts_with('<') && has_block(block);
            if opens {
                converted(block)
            } else {
                block.to_owned()
            }
        };
        page.split("\n\n")
            .map(block)
            .collect::<Vec<_>>()
            .join("\n\n")
    };
    // What was inside a paragraph of Markdown is left: tags of HTML, pictures and links.
    let plain = without_pictures(&without_tags(&plain));
    let plain = CONTROL_TOKENS
        .iter()
        .fold(without_queries(&plain), |text, token| {
            text.replace(token, token.trim_matches(['<', '>']))
        });
    cut(&spaced(&plain), most)
}

fn head(text: &str, most_bytes: usize) -> &str {
    let mut end = text.len().min(most_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("<!--") {
        kept.push_str(&rest[..at]);
        rest = rest[at..]
            .find("-->")
            .map_or("", |end| &rest[at + end + 3..]);
    }
    kept.push_str(rest);
    kept
}

/// A tag at the beginning of a text: its name in lower case, whether it closes, and its length in bytes.
fn tag(text: &str) -> Option<(String, bool, usize)> {
    let inside = text.strip_prefix('<')?;
    let (closes, name) = inside
        .strip_prefix('/')
        .map_or((false, inside), |name| (true, name));
    let letters = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let begins_so = name.starts_with(|first: char| first.is_ascii_alphabetic());
    // `a < b` and `<id>` of prose are told apart from tags by their names only.
    let behind = name[letters..].chars().next()?;
    if !begins_so || !(behind.is_whitespace() || matches!(behind, '>' | '/')) {
        return None;
    }
    let end = head(text, 4096).find('>')?;
    Some((name[..letters].to_ascii_lowercase(), closes, end + 1))
}

/// The places of `<` in a text, each with the text from there.
fn openings(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('<').map(|(at, _)| &text[at..])
}

fn has_block(text: &str) -> bool {
    openings(text)
        .filter_map(tag)
        .any(|(name, ..)| BLOCKS.contains(&name.as_str()))
}

fn converted(html: &str) -> String {
    let (mut depth, mut deepest) = (0_usize, 0);
    for (name, closes, _) in openings(html).filter_map(tag) {
        if closes {
            depth = depth.saturating_sub(1);
        } else if !SHALLOW.contains(&name.as_str()) {
            depth += 1;
            deepest = deepest.max(depth);
        }
    }
    if deepest > MOST_DEPTH {
        return without_tags(html);
    }
    match CONVERTER.convert(html) {
        Ok(markdown) => unescaped(&markdown),
        Err(_) => without_tags(html),
    }
}

/// Without the backslashes that keep a renderer from taking characters for markup: who reads this is no renderer.
fn unescaped(markdown: &str) -> String {
    let mut plain = String::with_capacity(markdown.len());
    let mut characters = markdown.chars().peekable();
    while let Some(character) = characters.next() {
        let escapes = character == '\\'
            && characters
                .peek()
                .is_some_and(|next| "\\*_`[]#=~>-+.".contains(*next));
        plain.push(if escapes {
            characters.next().unwrap_or(character)
        } else {
            character
        });
    }
    entities(&plain)
}

fn entities(text: &str) -> String {
    let named = [
        ("&nbsp;", " "),
        ("\u{a0}", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    named
        .iter()
        .fold(text.to_owned(), |text, (entity, character)| {
            text.replace(entity, character)
        })
}

/// Without tags that HTML has; other things between angle brackets are what people write for names to fill in.
fn without_tags(text: &str) -> String {
    const INLINE: [&str; 24] = [
        "a", "b", "i", "u", "em", "strong", "span", "font", "code", "br", "hr", "sub", "sup",
        "small", "center", "tr", "td", "th", "tbody", "thead", "caption", "input", "button",
        "label",
    ];
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = tag(rest).filter(|(name, ..)| {
            [&INLINE[..], &BLOCKS[..], &SKIPPED[..]]
                .iter()
                .any(|names| names.contains(&name.as_str()))
        });
        let Some((name, closes, length)) = known else {
            kept.push('<');
            rest = &rest[1..];
            continue;
        };
        rest = &rest[length..];
        if !closes && matches!(name.as_str(), "script" | "style" | "svg") {
            let is_end =
                |at: usize| tag(&rest[at..]).is_some_and(|(end, closes, _)| closes && end == name);
            let after = rest
                .match_indices("</")
                .map(|(at, _)| at)
                .find(|at| is_end(*at))
                .unwrap_or(rest.len());
            rest = &rest[after..];
        } else if matches!(name.as_str(), "br" | "hr" | "tr") || BLOCKS.contains(&name.as_str()) {
            kept.push('\n');
        }
    }
    kept.push_str(rest);
    entities(&kept)
}

/// Without `![pictures](…)`; links keep their text and their address.
fn without_pictures(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("![") {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        let picture = rest
            .find("](")
            .filter(|middle| !rest[..*middle].contains('\n'));
        let end = picture.and_then(|middle| Some(middle + rest[middle..].find(')')? + 1));
        if end.is_none() {
            kept.push_str("![");
        }
        rest = &rest[end.unwrap_or(2)..];
    }
    kept.push_str(rest);
    // A link around a picture has no text left.
    kept.replace("[]()", "")
}

/// Addresses without their query strings and fragments, which only track; empty links are gone.
fn without_queries(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("http") {
        kept.push_str(&rest[..at]);
        let address = &rest[at..];
        let is_one = address.starts_with("http://") || address.starts_with("https://");
        if !is_one {
            kept.push_str("http");
            rest = &address[4..];
            continue;
        }
        let end = address
            .find(|c: char| c.is_whitespace() || matches!(c, ')' | ']' | '>' | '"' | '\''))
            .unwrap_or(address.len());
        let bare = address[..end].split(['?', '#']).next().unwrap_or_default();
        // An empty link, as around a picture that is gone, is gone too.
        if kept.ends_with("[](") && address[end..].starts_with(')') {
            kept.truncate(kept.len() - 3);
            rest = &address[end + 1..];
        } else {
            kept.push_str(bare);
            rest = &address[end..];
        }
    }
    kept.push_str(rest);
    kept
}

/// No spaces at the ends of lines, and no more than one empty line together.
fn spaced(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        let line = line.trim_end();
        if line.is_empty() && lines.last().is_none_or(|last| last.is_empty()) {
            continue;
        }
        lines.push(line);
    }
    lines.join("\n").trim_end().to_owned()
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => {
            // At the end of a line, where that does not lose much.
            let end = text[..end]
                .rfind('\n')
                .filter(|at| *at > end / 2)
                .unwrap_or(end);
            format!("{}\n…", text[..end].trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(page: &str) -> String {
        clean(page, 10_000)
    }

    #[test]
    fn html_becomes_markdown() {
        for (page, expected) in [
            (
                "<h2>Goal</h2><p>Predict <b>y</b>.</p>",
                "## Goal\n\nPredict **y**.",
            ),
            (
                "<ul><li>train.csv</li><li>test_set.csv</li></ul>",
                "- train.csv\n- test_set.csv",
            ),
            ("<p>a<br>b</p>", "a\nb"),
            ("<p>x &lt; 3 &amp; y_i * 2</p>", "x < 3 & y_i * 2"),
            ("<pre><code>id,y\n1,0\n</code></pre>", "```\nid,y\n1,0\n```"),
            (
                "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
                "| a | b |\n| --- | --- |\n| 1 | 2 |",
            ),
        ] {
            let cleaned = plain(page);
            let squeezed =
                |text: &str| text.replace(' ', "").replace("---", "-").replace("--", "-");
            assert_eq!(squeezed(&cleaned), squeezed(expected), "{page}");
        }
    }

    #[test]
    fn pictures_scripts_and_trackers_are_gone() {
        for page in [
            "<p>text</p><img src='https://t.example/pixel.gif'>",
            "<p>text<script>track()</script><style>p{}</style></p>",
            "text ![logo](https://t.example/logo.png)",
            "text [![logo](https://t.example/logo.png)](https://t.example/?u=1)",
            "text <img src=\"https://t.example/pixel.gif\" width=1>",
            "text<!-- https://t.example -->",
            "<p>text</p><iframe src='https://t.example'></iframe><svg><text>t.example</text></svg>",
            "text\n\n<script>\nt.example\n</script>",
        ] {
            let cleaned = plain(page);
            assert!(
                !cleaned.contains("t.example") && !cleaned.contains("track"),
                "{page} -> {cleaned}"
            );
            assert_eq!(cleaned.trim(), "text", "{page}");
        }
    }

    #[test]
    fn links_keep_their_address_and_lose_what_tracks() {
        for page in [
            "see [the paper](https://x.example/a?utm_source=k&u=2#frag)",
            "<p>see <a href=\"https://x.example/a?utm_source=k\" target=_blank>the paper</a></p>",
        ] {
            assert_eq!(
                plain(page),
                "see [the paper](https://x.example/a)",
                "{page}"
            );
        }
        assert_eq!(
            plain("at https://x.example/a?b=1, or"),
            "at https://x.example/a or"
        );
    }

    #[test]
    fn markdown_stays_what_it_is() {
        for page in [
            "## Goal\n\n- `train.csv` - the rows\n- y_i and $\\hat{y}_i$\n\n    id,y\n    1,0",
            "if a < b and <your_id> > 3",
            "$$MAP@3 = \\frac{1}{U} \\sum_{u=1}^{U} P(k)$$",
            "| a | b |\n|---|---|\n| 1 | 2 |",
        ] {
            assert_eq!(plain(page), page);
        }
    }

    #[test]
    fn markdown_with_html_in_it_is_one_text() {
        assert_eq!(
            plain(
                "# Goal\n\n<div class=\"note\"><p>Mind the <i>gap</i>.</p></div>\n\nMore<br/>text<b>!</b>"
            ),
            "# Goal\n\nMind the *gap*.\n\nMore\ntext!"
        );
    }

    #[test]
    fn what_templates_take_for_markup_is_text() {
        assert_eq!(plain("put an <image> here"), "put an image here");
    }

    #[test]
    fn long_pages_are_cut_and_deep_ones_lose_their_tags() {
        let cleaned = clean(&"line\n".repeat(100_000), 1000);
        assert!(cleaned.chars().count() <= 1002 && cleaned.ends_with("line\n…"));
        let deep = format!(
            "{}core{}",
            "<div><b>".repeat(5_000),
            "</b></div>".repeat(5_000)
        );
        assert_eq!(plain(&deep).trim(), "core");
    }

    proptest! {
        #[test]
        fn any_text_is_cleaned(text in "(<|>|/|p|div|b| |!\\[|\\]\\(|\\)|http://|\\?|\n|<!--|-->|script|\\PC){0,80}") {
            prop_assert!(clean(&text, 50).chars().count() <= 52);
        }
    }
}
