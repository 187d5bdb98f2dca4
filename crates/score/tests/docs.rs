//! The table of metrics in `docs/metrics.md` has a row for each, with its direction.

use synth_core::Metric;

#[test]
fn the_table_of_metrics_names_all_of_them_with_their_direction() {
    let page = include_str!("../../../docs/metrics.md");
    let rows: Vec<(&str, &str)> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
            Some((name, cells.next()?))
        })
        .filter(|(_, direction)| matches!(*direction, "more" | "less"))
        .collect();
    let metrics: Vec<(String, &str)> = Metric::all()
        .map(|metric| {
            let direction = if metric.is_max() { "more" } else { "less" };
            (metric.to_string(), direction)
        })
        .collect();
    assert_eq!(rows.len(), metrics.len());
    for (name, direction) in &metrics {
        assert!(rows.contains(&(name, direction)), "{name} {direction}");
    }
}
