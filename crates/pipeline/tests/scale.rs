//! Many items in little memory. A process of its own, so that the memory measured is its alone.

#[path = "../benches/synthetic/mod.rs"]
mod synthetic;

const ITEMS: usize = 1_000_000;
const MEMORY: u64 = 300 << 20;

#[tokio::test]
async fn a_million_items_pass_in_little_memory_and_a_second_time_without_work()
-> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    for worked in [ITEMS as u64, 0] {
        let (summary, _) = synthetic::pass(folder.path(), ITEMS).await?;
        assert_eq!(
            (summary.read, summary.kept, summary.worked),
            (ITEMS as u64, ITEMS as u64, worked)
        );
    }
    let peak = synthetic::peak_memory();
    assert!(peak < MEMORY, "{} MB at the peak", peak >> 20);
    Ok(())
}
