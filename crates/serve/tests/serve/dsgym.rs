//! DSGym's executor API over real sandboxes: recorded exchanges, and tenants who get in each other's way.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use crate::support::{Place, exchanges};
use futures::future::join_all;
use serde_json::{Value, json};
use synth_serve::Api;

async fn execute(place: &Place, id: u64, code: &str) -> Value {
    let body = json!({ "code": code });
    let answer = place.post(&format!("/session/{id}/execute"), &body).await;
    answer.json().await.unwrap()
}

async fn allocate(place: &Place) -> Option<u64> {
    let answer = place.post("/allocate", &Value::Null).await;
    let answer: Value = answer.json().await.unwrap();
    answer["container_id"].as_u64()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_as_the_executor_manager_does() {
    let place = Place::start(Api::Dsgym).await;
    exchanges::replay(&place, include_str!("exchanges/dsgym.json")).await;
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_container_goes_to_two_tenants_and_nothing_passes_from_one_to_the_next() {
    let place = Place::start(Api::Dsgym).await;
    for round in 0..3 {
        // More than there are, all at once.
        let allocated = join_all((0..5).map(|_| allocate(&place))).await;
        let ids: Vec<u64> = allocated.into_iter().flatten().collect();
        assert_eq!(ids.len(), 3, "{ids:?}");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "{ids:?}");
        for &id in &ids {
            let seen = execute(
                &place,
                id,
                "import os\n'mine' in globals(), os.path.exists('left')",
            )
            .await;
            assert_eq!(
                seen["outputs"][0]["data"]["text/plain"], "(False, False)",
                "round {round}"
            );
            execute(
                &place,
                id,
                &format!("mine = {id}; open('left', 'w').close()"),
            )
            .await;
        }
        for &id in &ids {
            let seen = execute(&place, id, "mine").await;
            assert_eq!(
                seen["outputs"][0]["data"]["text/plain"],
                id.to_string().as_str()
            );
        }
        // Of two who give the same container back, one does.
        let path = format!("/deallocate/{}", ids[0]);
        let (one, two) = tokio::join!(
            place.post(&path, &Value::Null),
            place.post(&path, &Value::Null)
        );
        let mut statuses = [one.status().as_u16(), two.status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400]);
        assert_eq!(place.post("/restart", &Value::Null).await.status(), 200);
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_whose_tenant_vanished_is_free_again() {
    let place = Place::with(Api::Dsgym, |options| {
        options.slots = 1;
        options.leases.idle = Duration::from_millis(500);
    })
    .await;
    assert_eq!(allocate(&place).await, Some(0));
    assert_eq!(allocate(&place).await, None);
    place
        .wait_until("it is free", async |place| {
            let status: Value = place.get("/status").await.json().await.unwrap();
            status["available_containers"] == 1
        })
        .await;
    assert_eq!(
        place
            .post("/session/0/execute", &json!({"code": "1"}))
            .await
            .status(),
        400
    );
    // Who asks for a type waits.
    let typed = place
        .post("/allocate?container_type=python", &Value::Null)
        .await;
    assert_eq!(typed.status(), 200);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_readiness_do_not_wait_for_a_cell_and_cells_stand_in_line() {
    let place = Place::start(Api::Dsgym).await;
    let id = allocate(&place).await.unwrap();
    let first = execute(&place, id, "import time; time.sleep(1.5); first = 1");
    let second = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let ready: Value = place.get("/session/0/ready").await.json().await.unwrap();
        assert_eq!(ready, json!({"ready": false, "reason": "kernel_busy"}));
        assert_eq!(place.get("/session/0/health").await.status(), 200);
        execute(&place, id, "first").await
    };
    let (_, second) = tokio::join!(first, second);
    assert_eq!(second["outputs"][0]["data"]["text/plain"], "1");
    // A dead one is told at once, and the next cell finds Python anew.
    let died = execute(&place, id, "import os; os._exit(1)").await;
    assert_eq!(died["outputs"][0]["name"], "DeadKernelError");
    let after = execute(&place, id, "1 + 1").await;
    let last = after["outputs"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["data"]["text/plain"], "2");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_folder_is_shown_to_every_tenant_and_nobody_changes_it() {
    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join("daeval")).unwrap();
    fs::write(data.path().join("daeval/t.csv"), "a\n1\n").unwrap();
    // What runs when a kernel starts is not taken from the data.
    fs::write(data.path().join("start.py"), "raise SystemExit").unwrap();
    let folder = data.path().to_owned();
    let place = Place::with(Api::Dsgym, |options| options.data = Some(folder)).await;
    let id = allocate(&place).await.unwrap();
    let read = execute(&place, id, "open('data/daeval/t.csv').read()").await;
    assert_eq!(read["outputs"][0]["data"]["text/plain"], "'a\\n1\\n'");
    let written = execute(&place, id, "open('data/daeval/t.csv', 'w')").await;
    assert_eq!(written["outputs"][0]["type"], "error");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_is_found_on_the_host_until_the_container_is_fresh() {
    let shown = tempfile::tempdir().unwrap();
    let folder = shown.path().join("submissions");
    let file = folder.join("container_000/submission.csv");
    // What an earlier server left is nobody's.
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "stale").unwrap();
    fs::write(file.with_file_name("kept.csv"), "a copy").unwrap();
    let options = folder.clone();
    let place = Place::with(Api::Dsgym, |set| set.submissions = Some(options)).await;
    let id = allocate(&place).await.unwrap();
    assert!(!file.exists());
    let write = async |place: &Place, text: &str| {
        let code = format!("open('/submission/submission.csv', 'w').write('{text}')");
        execute(place, id, &code).await;
        fs::read_to_string(&file).unwrap()
    };
    assert_eq!(write(&place, "first").await, "first");
    assert_eq!(write(&place, "second").await, "second");
    // A cell that ends Python takes its files with it, but not what was handed out, and the place is there again.
    execute(&place, id, "import os; os._exit(1)").await;
    assert_eq!(fs::read_to_string(&file).unwrap(), "second");
    assert_eq!(write(&place, "third").await, "third");
    // It is no way out of the sandbox.
    let secret = shown.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let code = format!(
        "import os; os.remove('/submission/submission.csv'); os.symlink('{}', '/submission/submission.csv')",
        secret.display()
    );
    execute(&place, id, &code).await;
    assert_eq!(fs::read_to_string(&file).unwrap(), "third");
    place.post("/session/0/restart", &Value::Null).await;
    assert!(!file.exists());
    assert_eq!(write(&place, "fourth").await, "fourth");
    place.post("/deallocate/0", &Value::Null).await;
    assert_eq!(fs::read_to_string(&file).unwrap(), "fourth");
    assert_eq!(allocate(&place).await, Some(0));
    assert!(!file.exists());
    assert_eq!(
        fs::read_to_string(file.with_file_name("kept.csv")).unwrap(),
        "a copy"
    );
    place.stop().await;
}
