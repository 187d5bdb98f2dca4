//! The metrics of 60 real competitions, recognised in the words of their Evaluation pages.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use synth_score::recognise::metric_in_text;

/// What each competition is scored by, as its page says; `None` where that is no metric of ours.
const METRICS: &[(&str, Option<&str>)] = &[
    ("house-prices-advanced-regression-techniques", Some("rmsle")),
    ("playground-series-s3e1", Some("rmse")),
    ("playground-series-s3e11", Some("rmsle")),
    ("playground-series-s3e13", Some("map@3")),
    ("playground-series-s3e14", Some("mae")),
    ("playground-series-s3e15", Some("rmse")),
    ("playground-series-s3e16", Some("mae")),
    ("playground-series-s3e19", Some("smape")),
    // A data set is submitted, and a model trained on it is scored.
    ("playground-series-s3e21", None),
    ("playground-series-s3e22", Some("micro_f1")),
    ("playground-series-s3e24", Some("auc")),
    ("playground-series-s3e25", Some("median_ae")),
    ("playground-series-s3e26", Some("multiclass_log_loss")),
    ("playground-series-s3e3", Some("auc")),
    ("playground-series-s3e5", Some("quadratic_weighted_kappa")),
    ("playground-series-s3e7", Some("auc")),
    ("playground-series-s3e9", Some("rmse")),
    ("playground-series-s4e1", Some("auc")),
    ("playground-series-s4e10", Some("auc")),
    ("playground-series-s4e11", Some("accuracy")),
    ("playground-series-s4e12", Some("rmsle")),
    ("playground-series-s4e2", Some("accuracy")),
    ("playground-series-s4e3", Some("auc")),
    ("playground-series-s4e4", Some("rmsle")),
    ("playground-series-s4e5", Some("r2")),
    ("playground-series-s4e6", Some("accuracy")),
    ("playground-series-s4e7", Some("auc")),
    ("playground-series-s4e8", Some("mcc")),
    ("playground-series-s4e9", Some("rmse")),
    ("playground-series-s5e1", Some("mape")),
    ("playground-series-s5e2", Some("rmse")),
    ("playground-series-s5e3", Some("auc")),
    ("playground-series-s5e4", Some("rmse")),
    ("playground-series-s5e5", Some("rmsle")),
    ("playground-series-s5e6", Some("map@3")),
    ("playground-series-s5e7", Some("accuracy")),
    ("playground-series-s5e8", Some("auc")),
    ("titanic", Some("accuracy")),
    ("elo-merchant-category-recommendation", Some("rmse")),
    // F1 averaged over samples.
    ("geolifeclef-2024", None),
    ("humpback-whale-identification", Some("map@5")),
    // F2 averaged over samples.
    ("inclusive-images-challenge", None),
    ("mens-machine-learning-competition-2019", Some("log_loss")),
    ("microsoft-malware-prediction", Some("auc")),
    ("novozymes-enzyme-stability-prediction", Some("spearman")),
    // The mean of a slowdown and of Kendall's tau.
    ("predict-ai-model-runtime", None),
    ("recruit-restaurant-visitor-forecasting", Some("rmsle")),
    ("stanford-covid-vaccine", Some("rmse")),
    ("statoil-iceberg-classifier-challenge", Some("log_loss")),
    ("store-sales-time-series-forecasting", Some("rmsle")),
    ("talkingdata-adtracking-fraud-detection", Some("auc")),
    ("tensorflow-speech-recognition-challenge", Some("accuracy")),
    // Average precision over thresholds of overlap.
    ("tgs-salt-identification-challenge", None),
    // NDCG of no stated length.
    ("trec-covid-information-retrieval", None),
    // Dice coefficient.
    ("understanding_cloud_organization", None),
    // A part of the rows is not scored.
    ("ventilator-pressure-prediction", None),
    ("web-traffic-time-series-forecasting", Some("smape")),
    ("womens-machine-learning-competition-2019", Some("log_loss")),
    // Global average precision.
    ("youtube8m-2018", None),
    // Average precision over classes, of lists of 100,000.
    ("youtube8m-2019", None),
];

/// The Evaluation pages by slug; `None` where the shared inputs are absent and need not be there.
fn pages() -> Option<BTreeMap<String, String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/kaggle/competitions.json.gz");
    if !path.exists() {
        assert!(
            std::env::var_os("SYNTH_REQUIRE_SHARED").is_none(),
            "`{}` is not there",
            path.display()
        );
        return None;
    }
    let mut json = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).expect("an open file"))
        .read_to_string(&mut json)
        .expect("a gzip file");
    let all: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let competitions = all["competitions"].as_array().expect("a list").iter();
    Some(
        competitions
            .map(|one| (text(&one["slug"]), text(&one["evaluation"])))
            .collect(),
    )
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn real_evaluation_pages_name_their_metric_or_none_of_ours() {
    let Some(pages) = pages() else {
        eprintln!("skipped: the shared inputs are not there");
        return;
    };
    assert_eq!(pages.len(), METRICS.len());
    let found: Vec<(&str, Option<String>)> = METRICS
        .iter()
        .map(|(slug, _)| {
            let metric = metric_in_text(&pages[*slug]).ok();
            (*slug, metric.map(|metric| metric.to_string()))
        })
        .collect();
    let wrong: Vec<_> = METRICS
        .iter()
        .zip(&found)
        .filter(|((_, expected), (_, found))| *expected != found.as_deref())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        found.iter().filter(|(_, metric)| metric.is_some()).count(),
        50
    );
}
