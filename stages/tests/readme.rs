//! The README's stage table is the list of stages.

#[test]
fn the_readme_lists_the_stages_as_they_are() {
    let readme = include_str!("../../README.md");
    let rows: Vec<&str> = readme
        .lines()
        .skip_while(|line| *line != "| stage | makes | in one line |")
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let stages: Vec<String> = synth_stages::STAGES
        .iter()
        .map(|stage| {
            format!(
                "| {} | {} | {} |",
                stage.name(),
                stage.makes(),
                stage.about()
            )
        })
        .collect();
    assert_eq!(rows, stages);
}
