//! Many items in little memory. A process of its own, so that the memory measured is its alone.

#[path = "../benches/synthetic/mod.rs"]
mod synthetic;

/// The benchmark `ledger` does a million.
const ITEMS: usize = 250_000;
/// Some 80 MB, and under 300 bytes for each item.
const MEMORY: u64 = 150 << 20;

#[tokio::test]
async fn very_many_items_pass_in_little_memory_and_a_second_time_without_work()
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
