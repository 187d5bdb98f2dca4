//! Honest mistakes that raise an error, for a solver to notice and repair.

use crate::dice::Dice;
use crate::prompt::Table;
use crate::python::literal;

/// A cell that raises, made from the cell that was meant; `None` when nothing fits.
pub fn stumble(code: &str, columns: &[&str], table: &Table, dice: &mut Dice) -> Option<String> {
    let mut ways: Vec<String> = Vec::new();
    ways.extend(misspelt(code, columns, table, dice));
    ways.extend(without_imports(code));
    ways.extend(
        columns
            .first()
            .and_then(|column| wrong_method(code, column, dice)),
    );
    ways.extend(
        columns
            .first()
            .map(|column| format!("print(df.loc[{}].describe())\n{code}", literal(column))),
    );
    if table
        .columns
        .iter()
        .any(|column| column.kind == "text" && column.distinct > 1 && column.missing < table.rows)
    {
        ways.push(format!("print(df.mean())\n{code}"));
    }
    dice.pick(&ways).cloned()
}

/// The same code with a column's name slightly wrong.
fn misspelt(code: &str, columns: &[&str], table: &Table, dice: &mut Dice) -> Option<String> {
    let column = columns
        .iter()
        .find(|column| code.contains(&literal(column)))?;
    let chopped: String = column
        .chars()
        .take(column.chars().count().saturating_sub(1))
        .collect();
    let mut variants = vec![
        column.to_lowercase(),
        column.to_uppercase(),
        column.replace(' ', "_"),
        column.replace('_', " "),
    ];
    if chopped.chars().count() > 2 {
        variants.push(chopped);
    }
    variants.push(format!("{column}s"));
    variants
        .retain(|variant| variant != column && !table.has(variant) && !variant.trim().is_empty());
    let variant = dice.pick(&variants)?;
    Some(code.replace(&literal(column), &literal(variant)))
}

/// The same code without its imports from libraries; `None` when it has none.
fn without_imports(code: &str) -> Option<String> {
    let imported = |line: &&str| {
        [
            "from scipy",
            "from sklearn",
            "import statsmodels",
            "from collections",
            "import statistics",
        ]
        .iter()
        .any(|start| line.starts_with(start))
    };
    // The names live on in the session only if an earlier cell has imported them; solving starts with a cell of its own.
    code.lines().any(|line| imported(&line)).then(|| {
        let kept: Vec<&str> = code.lines().filter(|line| !imported(line)).collect();
        kept.join("\n").trim_start().to_owned()
    })
}

/// A call of a method that a column does not have.
fn wrong_method(code: &str, column: &str, dice: &mut Dice) -> Option<String> {
    let method = dice.phrase(&["average", "avg", "stdev", "count_values", "n_unique"]);
    code.contains(&literal(column))
        .then(|| format!("print(df[{}].{method}())\n{code}", literal(column)))
}
