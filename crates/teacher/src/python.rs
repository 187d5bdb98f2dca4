//! Python source text: literals, and the lines that load tables.

use crate::prompt::Table;

/// A Python string literal that stands for exactly this text.
pub fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The call that reads a table, with the encoding and separator that the prompt names.
pub fn read_csv(table: &Table) -> String {
    let mut call = format!("pd.read_csv({}", literal(&format!("data/{}", table.path)));
    if !table.encoding.is_empty() && table.encoding != "utf-8" {
        call.push_str(&format!(", encoding={}", literal(&table.encoding)));
    }
    if !table.separator.is_empty() && table.separator != "," {
        call.push_str(&format!(", sep={}", literal(&table.separator)));
    }
    call.push(')');
    call
}

/// The imports and the loading of the first table as `df`.
pub fn load(table: &Table) -> String {
    format!(
        "import numpy as np\nimport pandas as pd\n\ndf = {}\n",
        read_csv(table)
    )
}

/// The same code with its imports in front.
pub fn imports_first(code: &str) -> String {
    let is_import = |line: &&str| line.starts_with("import ") || line.starts_with("from ");
    let (imports, rest): (Vec<&str>, Vec<&str>) = code.lines().partition(is_import);
    let mut rest = rest.join("\n");
    while rest.contains("\n\n\n") {
        rest = rest.replace("\n\n\n", "\n\n");
    }
    format!("{}\n\n{}", imports.join("\n"), rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_escape_what_would_end_them() {
        assert_eq!(literal("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
        assert_eq!(literal(" m/z é"), "\" m/z é\"");
    }

    #[test]
    fn imports_move_to_the_front() {
        assert_eq!(
            imports_first("import a\n\nx = 1\n\nfrom b import c\n\ny = 2"),
            "import a\nfrom b import c\n\nx = 1\n\ny = 2"
        );
    }

    #[test]
    fn encoding_and_separator_are_named_only_when_they_are_unusual() {
        let mut table = Table {
            path: "a b.csv".into(),
            encoding: "utf-8".into(),
            separator: ",".into(),
            ..Table::default()
        };
        assert_eq!(read_csv(&table), r#"pd.read_csv("data/a b.csv")"#);
        table.encoding = "cp1252".into();
        table.separator = "\t".into();
        assert_eq!(
            read_csv(&table),
            r#"pd.read_csv("data/a b.csv", encoding="cp1252", sep="\t")"#
        );
    }
}
