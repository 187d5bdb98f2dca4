//! The competitions of MLE-bench lite, a benchmark whose tasks are not to be trained on.

/// Their slugs, sorted.
pub const MLE_BENCH_LITE: [&str; 22] = [
    "aerial-cactus-identification",
    "aptos2019-blindness-detection",
    "denoising-dirty-documents",
    "detecting-insults-in-social-commentary",
    "dog-breed-identification",
    "dogs-vs-cats-redux-kernels-edition",
    "histopathologic-cancer-detection",
    "jigsaw-toxic-comment-classification-challenge",
    "leaf-classification",
    "mlsp-2013-birds",
    "new-york-city-taxi-fare-prediction",
    "nomad2018-predict-transparent-conductors",
    "plant-pathology-2020-fgvc7",
    "random-acts-of-pizza",
    "ranzcr-clip-catheter-line-classification",
    "siim-isic-melanoma-classification",
    "spooky-author-identification",
    "tabular-playground-series-dec-2021",
    "tabular-playground-series-may-2022",
    "text-normalization-challenge-english-language",
    "text-normalization-challenge-russian-language",
    "the-icml-2013-whale-challenge-right-whale-redux",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slugs_are_sorted_and_distinct() {
        assert!(MLE_BENCH_LITE.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
