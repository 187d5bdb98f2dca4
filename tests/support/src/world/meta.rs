//! The offline dump of competitions (Meta Kaggle) as CSV files, from which a crawl may take its slugs.

use std::io;
use std::path::Path;

use super::{Competition, World};

/// The columns of `Competitions.csv`, in the dump's order.
const COLUMNS: [&str; 42] = [
    "Id",
    "Slug",
    "Title",
    "Subtitle",
    "HostSegmentTitle",
    "ForumId",
    "OrganizationId",
    "CompetitionTypeId",
    "HostName",
    "EnabledDate",
    "DeadlineDate",
    "ProhibitNewEntrantsDeadlineDate",
    "TeamMergerDeadlineDate",
    "TeamModelDeadlineDate",
    "ModelSubmissionDeadlineDate",
    "FinalLeaderboardHasBeenVerified",
    "HasKernels",
    "OnlyAllowKernelSubmissions",
    "HasLeaderboard",
    "LeaderboardPercentage",
    "LeaderboardDisplayFormat",
    "EvaluationAlgorithmAbbreviation",
    "EvaluationAlgorithmName",
    "EvaluationAlgorithmDescription",
    "EvaluationAlgorithmIsMax",
    "ValidationSetName",
    "ValidationSetValue",
    "MaxDailySubmissions",
    "NumScoredSubmissions",
    "MaxTeamSize",
    "BanTeamMergers",
    "EnableTeamModels",
    "EnableSubmissionModelHashes",
    "EnableSubmissionModelAttachments",
    "RewardType",
    "RewardQuantity",
    "NumPrizes",
    "UserRankMultiplier",
    "CanQualifyTiers",
    "TotalTeams",
    "TotalCompetitors",
    "TotalSubmissions",
];

impl World {
    /// Writes `Competitions.csv`, `CompetitionTags.csv` and `Tags.csv` of all competitions, listed or not, into a folder.
    pub fn write_meta_kaggle(&self, folder: &Path) -> io::Result<()> {
        let mut competitions = csv::Writer::from_path(folder.join("Competitions.csv"))?;
        let mut links = csv::Writer::from_path(folder.join("CompetitionTags.csv"))?;
        let mut tags = csv::Writer::from_path(folder.join("Tags.csv"))?;
        competitions.write_record(COLUMNS)?;
        links.write_record(["Id", "CompetitionId", "TagId"])?;
        tags.write_record([
            "Id",
            "ParentTagId",
            "Name",
            "Slug",
            "FullPath",
            "Description",
        ])?;
        let mut known: Vec<String> = Vec::new();
        let mut link = 0_usize;
        for competition in (0..self.places()).filter_map(|place| self.at(place)) {
            competitions.write_record(COLUMNS.map(|column| cell(&competition, column)))?;
            for tag in &competition.tags {
                let number = known
                    .iter()
                    .position(|found| found == tag)
                    .unwrap_or_else(|| {
                        known.push(tag.clone());
                        known.len() - 1
                    });
                link += 1;
                links.write_record([
                    link.to_string(),
                    competition.id.to_string(),
                    (number + 1).to_string(),
                ])?;
            }
        }
        for (number, path) in known.iter().enumerate() {
            let name = path.rsplit(" > ").next().unwrap_or(path);
            let slug = name.replace(' ', "-");
            tags.write_record([&(number + 1).to_string(), "", name, &slug, path, ""])?;
        }
        competitions.flush()?;
        links.flush()?;
        tags.flush()
    }
}

fn cell(competition: &Competition, column: &str) -> String {
    let truth = |value: bool| if value { "True" } else { "False" }.to_owned();
    let scores = &competition.leaderboard.public;
    match column {
        "Id" => competition.id.to_string(),
        "Slug" => competition.slug.clone(),
        "Title" => competition.title.clone(),
        "Subtitle" => competition.subtitle.clone(),
        "HostSegmentTitle" => competition.category.clone(),
        "HostName" => competition.host.clone(),
        "EnabledDate" => american(&competition.enabled),
        "DeadlineDate" => american(&competition.deadline),
        "HasKernels" | "CanQualifyTiers" => truth(true),
        "OnlyAllowKernelSubmissions" => truth(competition.kernels_only),
        "HasLeaderboard" => truth(!scores.is_empty()),
        "EvaluationAlgorithmName" => competition.metric.clone().unwrap_or_default(),
        // Boards stand best first.
        "EvaluationAlgorithmIsMax" => match (scores.first(), scores.last()) {
            (Some(best), Some(worst)) => truth(best > worst),
            _ => String::new(),
        },
        "MaxDailySubmissions" => competition.max_daily_submissions.to_string(),
        "RewardType" => competition.reward.clone(),
        "TotalTeams" | "TotalCompetitors" => competition.teams.to_string(),
        _ => String::new(),
    }
}

/// A date as the dump writes it: `06/30/2018 23:59:00`.
fn american(date: &str) -> String {
    let Ok(time) = date.parse::<jiff::Timestamp>() else {
        return String::new();
    };
    time.strftime("%m/%d/%Y %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dump_has_every_competition_with_the_direction_of_its_metric() {
        let folder = tempfile::tempdir().unwrap();
        World::small().write_meta_kaggle(folder.path()).unwrap();
        let mut reader = csv::Reader::from_path(folder.path().join("Competitions.csv")).unwrap();
        let rows: Vec<std::collections::HashMap<String, String>> =
            reader.deserialize().map(Result::unwrap).collect();
        assert_eq!(rows.len(), World::small().competitions.len());
        let row = |slug: &str| rows.iter().find(|row| row["Slug"] == slug).unwrap();
        assert_eq!(row("orchard-harvest")["EvaluationAlgorithmIsMax"], "False");
        assert_eq!(row("ferry-delays")["EvaluationAlgorithmIsMax"], "True");
        assert_eq!(row("quiet-meadow")["HasLeaderboard"], "False");
        assert_eq!(
            row("orchard-harvest")["DeadlineDate"],
            "02/28/2023 23:59:00"
        );
    }
}
