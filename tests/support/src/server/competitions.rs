//! `competitions.CompetitionApiService`: the methods that a crawl calls.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::Value;

use super::answer::ApiError;
use super::api::Answer;
use super::call::Call;
use super::dialect::{Dialect, Field, Form, Message, Rest};
use super::object::{Key, Kind};
use super::paging::Page;
use crate::world::{Competition, DataFile, World, archive};

type Result = std::result::Result<Answer, ApiError>;

const DAY: i64 = 24 * 3600;

fn named<'a>(world: &'a World, call: &Call) -> std::result::Result<Cow<'a, Competition>, ApiError> {
    world
        .competition(&call.slug)
        .ok_or_else(ApiError::unknown_competition)
}

pub(super) fn list(world: &World, call: &Call, form: Form) -> Result {
    let segment = match call.text("category") {
        // Has been answered so although the official client's help offers it.
        Some("all") => return Err(ApiError::bad("Invalid value for category")),
        Some(name) if !name.ends_with("UNSPECIFIED") => Some(
            name.trim_start_matches("HOST_SEGMENT_")
                .replace('_', " ")
                .to_lowercase(),
        ),
        _ => None,
    };
    let tab = call.text("group").unwrap_or_default().to_lowercase();
    let search = call.text("search").map(str::to_lowercase);
    let page = Page::of(call, 20)?;
    let wanted = |competition: &Competition| {
        let category = competition.category.to_lowercase();
        competition.listed
            && segment.as_ref().is_none_or(|segment| *segment == category)
            && match tab.trim_start_matches("competition_list_tab_") {
                "general" => category != "community",
                "community" => category == "community",
                "entered" => competition.joined,
                "hosted" | "unlaunched" | "unlaunched_community" => false,
                _ => true,
            }
            && search.as_ref().is_none_or(|words| {
                [&competition.slug, &competition.title, &competition.subtitle]
                    .iter()
                    .any(|text| text.to_lowercase().contains(words.as_str()))
            })
    };
    let order = call.text("sortBy").unwrap_or_default().to_lowercase();
    let order = order.trim_start_matches("competition_sort_by_");
    let found = (0..world.places())
        .filter_map(|place| world.at(place))
        .filter(|competition| wanted(competition));
    let (rows, next) = match order {
        "number_of_teams" | "earliest_deadline" | "latest_deadline" | "recently_created" => {
            let mut all: Vec<_> = found.collect();
            all.sort_by(|left, right| match order {
                "number_of_teams" => right.teams.cmp(&left.teams),
                "earliest_deadline" => left.deadline.cmp(&right.deadline),
                "latest_deadline" => right.deadline.cmp(&left.deadline),
                _ => right.enabled.cmp(&left.enabled),
            });
            page.cut(&call.route, all.into_iter())
        }
        _ => page.cut(&call.route, found),
    };
    let rows: Vec<Message> = rows
        .iter()
        .map(|competition| message(competition, form))
        .collect();
    // REST has no token: a bare array, whose pages have numbers.
    Ok(Answer::Json(match form.dialect {
        Dialect::Rpc => list_of("competitions", rows, next, form),
        Dialect::Rest(_) => bare(&rows, form),
    }))
}

pub(super) fn get(world: &World, call: &Call, form: Form) -> Result {
    let competition = named(world, call)?;
    Ok(Answer::Json(message(&competition, form).write(form)))
}

pub(super) fn files(world: &World, call: &Call, form: Form, no_files: bool) -> Result {
    let competition = named(world, call)?;
    let files = competition.files.iter().filter(|_| !no_files);
    let (rows, next) = Page::of(call, 20)?.cut(&call.route, files);
    let rows: Vec<Message> = rows.into_iter().map(file_message).collect();
    Ok(Answer::Json(match form.dialect {
        Dialect::Rest(Rest::Of2021) => bare(&rows, form),
        _ => list_of("files", rows, next, form),
    }))
}

pub(super) fn summary(world: &World, call: &Call, form: Form) -> Result {
    let competition = named(world, call)?;
    Ok(Answer::Json(
        summary_message(&competition.files).write(form),
    ))
}

pub(super) fn download_all(world: &World, call: &Call) -> Result {
    let competition = allowed(world, call)?;
    if competition.files.is_empty() {
        return Err(ApiError::not_found());
    }
    Ok(Answer::Redirect(Key::bundle(
        Kind::Competition,
        &competition.slug,
        &competition.bundle,
    )))
}

pub(super) fn download_one(world: &World, call: &Call) -> Result {
    let competition = allowed(world, call)?;
    let name = call
        .text("fileName")
        .ok_or_else(|| ApiError::bad("Missing file name"))?;
    let file = competition
        .files
        .iter()
        .find(|file| file.name == name)
        .ok_or_else(ApiError::not_found)?;
    Ok(Answer::Redirect(Key::file(
        Kind::Competition,
        &competition.slug,
        file,
    )))
}

fn allowed<'a>(
    world: &'a World,
    call: &Call,
) -> std::result::Result<Cow<'a, Competition>, ApiError> {
    let competition = named(world, call)?;
    if !competition.rules_accepted {
        return Err(ApiError::rules());
    }
    Ok(competition)
}

pub(super) fn pages(world: &World, call: &Call, form: Form) -> Result {
    let competition = named(world, call)?;
    let name = call.text("pageName").map(str::to_lowercase);
    let rows = competition
        .pages
        .iter()
        .filter(|page| {
            name.as_ref()
                .is_none_or(|name| *name == page.name.to_lowercase())
        })
        .map(|page| {
            Message::new(vec![
                ("name", Field::text(&page.name)),
                ("content", Field::text(&page.content)),
                ("isPublished", Field::MaybeBool(Some(true))),
                ("postTitle", Field::MaybeText(None)),
                ("mimeType", Field::MaybeText(page.mime_type.clone())),
            ])
        })
        .collect();
    Ok(Answer::Json(list_of("pages", rows, None, form)))
}

pub(super) fn leaderboard(world: &World, call: &Call, form: Form) -> Result {
    let competition = named(world, call)?;
    let scores = if call.flag("overridePublic") == Some(true) {
        &competition.leaderboard.public
    } else {
        &competition.leaderboard.private
    };
    let standings = scores.iter().enumerate();
    let (rows, next) = Page::of(call, 20)?.cut(&call.route, standings);
    let rows = rows
        .into_iter()
        .map(|(place, score)| {
            Message::new(vec![
                ("teamId", Field::Int(team_id(&competition, place))),
                ("teamName", Field::MaybeText(team_name(place))),
                (
                    "submissionDate",
                    Field::Date(Some(submission_date(&competition, place))),
                ),
                (
                    "score",
                    Field::MaybeText((!score.is_nan()).then(|| score.to_string())),
                ),
            ])
        })
        .collect();
    Ok(Answer::Json(list_of("submissions", rows, next, form)))
}

pub(super) fn download_leaderboard(world: &World, call: &Call) -> Result {
    let competition = named(world, call)?;
    if competition.leaderboard.public.is_empty() {
        return Err(ApiError::not_found());
    }
    let mut csv = String::from(
        "\u{feff}Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames\n",
    );
    for (place, score) in competition.leaderboard.public.iter().enumerate() {
        let score = if score.is_nan() {
            String::new()
        } else {
            score.to_string()
        };
        let _ = writeln!(
            csv,
            "{},{},{},{},{score},{},user{place}",
            place + 1,
            team_id(&competition, place),
            team_name(place).unwrap_or_default(),
            submission_date(&competition, place)
                .replace('T', " ")
                .trim_end_matches('Z'),
            1 + place % 20,
        );
    }
    let name = format!(
        "{}-publicleaderboard-2023-11-21T19:40:00.csv",
        competition.slug
    );
    Ok(Answer::File {
        name: format!("{}.zip", competition.slug),
        bytes: archive::zip(&[(&name, csv.as_bytes())]).into(),
    })
}

pub(super) fn limits(world: &World, call: &Call, form: Form) -> Result {
    let competition = named(world, call)?;
    if !competition.joined {
        return Err(ApiError::no_team());
    }
    let allowed = if competition.submissions_disabled {
        0
    } else {
        competition.max_daily_submissions
    };
    Ok(Answer::Json(
        Message::new(vec![
            ("numToday", Field::Int(0)),
            ("numTotal", Field::Int(0)),
            ("numAllowedNow", Field::Int(i64::from(allowed))),
            ("limitedByTotal", Field::Bool(false)),
        ])
        .write(form),
    ))
}

pub(super) fn submissions(world: &World, call: &Call, form: Form) -> Result {
    let competition = named(world, call)?;
    if !competition.joined {
        return Err(ApiError::participate());
    }
    Ok(Answer::Json(list_of("submissions", Vec::new(), None, form)))
}

/// The ids and names of teams follow from their places: a standing is a score and nothing else.
fn team_id(competition: &Competition, place: usize) -> i64 {
    i64::from(competition.id) * 100_000 + i64::try_from(place).unwrap_or(0)
}

fn team_name(place: usize) -> Option<String> {
    // Some teams have none, and some have a name that a careless reader of CSV trips over.
    match place % 50 {
        49 => None,
        7 => Some(format!("\"comma, and quote {place}\"")),
        _ => Some(format!("team {place}")),
    }
}

fn submission_date(competition: &Competition, place: usize) -> String {
    let deadline: jiff::Timestamp = competition.deadline.parse().unwrap_or_default();
    let back = i64::try_from(place % 28).unwrap_or(0) * DAY + 3601;
    let date = deadline.as_second() - back;
    jiff::Timestamp::from_second(date)
        .map_or_else(|_| competition.deadline.clone(), |date| date.to_string())
}

fn message(competition: &Competition, form: Form) -> Message {
    let address = format!("https://www.kaggle.com/competitions/{}", competition.slug);
    let bare = form.bare_refs || form.dialect == Dialect::Rest(Rest::Of2021);
    Message::new(vec![
        ("id", Field::Int(i64::from(competition.id))),
        (
            "ref",
            Field::text(if bare { &competition.slug } else { &address }),
        ),
        ("title", Field::some(&competition.title)),
        ("url", Field::some(&address)),
        ("description", Field::some(&competition.subtitle)),
        ("organizationName", Field::some(&competition.host)),
        (
            "organizationRef",
            Field::some(competition.host.to_lowercase()),
        ),
        ("category", Field::some(&competition.category)),
        ("reward", Field::some(&competition.reward)),
        (
            "tags",
            Field::List(
                competition
                    .tags
                    .iter()
                    .map(|tag| tag_message(tag))
                    .collect(),
            ),
        ),
        ("deadline", Field::Date(Some(competition.deadline.clone()))),
        ("kernelCount", Field::Int(0)),
        ("teamCount", Field::Int(i64::from(competition.teams))),
        ("userHasEntered", Field::Bool(competition.joined)),
        ("userRank", Field::MaybeInt(None)),
        ("mergerDeadline", Field::Date(None)),
        ("newEntrantDeadline", Field::Date(None)),
        (
            "enabledDate",
            Field::Date(Some(competition.enabled.clone())),
        ),
        (
            "maxDailySubmissions",
            Field::Int(i64::from(competition.max_daily_submissions)),
        ),
        ("maxTeamSize", Field::MaybeInt(Some(3))),
        (
            "evaluationMetric",
            Field::MaybeText(competition.metric.clone()),
        ),
        ("awardsPoints", Field::Bool(false)),
        (
            "isKernelsSubmissionsOnly",
            Field::Bool(competition.kernels_only),
        ),
        (
            "submissionsDisabled",
            Field::Bool(competition.submissions_disabled),
        ),
        ("thumbnailImageUrl", Field::MaybeText(None)),
        ("hostName", Field::text(&competition.host)),
        (
            "dateCreated",
            Field::Date(Some(competition.enabled.clone())),
        ),
    ])
}

/// A tag by its full path (`technique > classification`).
pub(super) fn tag_message(path: &str) -> Message {
    let name = path.rsplit(" > ").next().unwrap_or(path);
    Message::new(vec![
        ("ref", Field::text(name)),
        ("name", Field::some(name)),
        ("description", Field::MaybeText(None)),
        ("fullPath", Field::some(path)),
        ("competitionCount", Field::Int(12)),
        ("datasetCount", Field::Int(120)),
        ("scriptCount", Field::Int(0)),
        ("totalCount", Field::Int(132)),
    ])
}

fn file_message(file: &DataFile) -> Message {
    Message::new(vec![
        ("ref", Field::text(&file.name)),
        ("name", Field::some(&file.name)),
        (
            "description",
            Field::MaybeText((!file.description.is_empty()).then(|| file.description.clone())),
        ),
        (
            "totalBytes",
            Field::Long(i64::try_from(file.bytes()).unwrap_or(i64::MAX)),
        ),
        ("url", Field::some("https://www.kaggle.com/")),
        ("creationDate", Field::Date(Some(file.created.clone()))),
    ])
}

/// Files counted and summed by their endings.
pub(super) fn summary_message(files: &[DataFile]) -> Message {
    let mut kinds: std::collections::BTreeMap<String, (i64, i64)> =
        std::collections::BTreeMap::new();
    for file in files {
        let (_, ending) = file.name.rsplit_once('.').unwrap_or(("", ""));
        let kind = kinds.entry(format!(".{ending}")).or_default();
        kind.0 += 1;
        kind.1 = kind
            .1
            .saturating_add(i64::try_from(file.bytes()).unwrap_or(i64::MAX));
    }
    let kinds = kinds
        .into_iter()
        .map(|(extension, (count, size))| {
            Message::new(vec![
                ("extension", Field::text(extension)),
                ("fileCount", Field::Int(count)),
                ("totalSize", Field::Long(size)),
            ])
        })
        .collect();
    let info = Message::new(vec![
        (
            "totalFileCount",
            Field::Int(i64::try_from(files.len()).unwrap_or(i64::MAX)),
        ),
        ("fileTypes", Field::List(kinds)),
    ]);
    Message::new(vec![("fileSummaryInfo", Field::Inner(Some(info)))])
}

/// A list under its name with the token of the next page.
pub(super) fn list_of(
    name: &'static str,
    rows: Vec<Message>,
    next: Option<String>,
    form: Form,
) -> Value {
    Message::new(vec![
        (name, Field::List(rows)),
        ("nextPageToken", Field::Text(next.unwrap_or_default())),
    ])
    .write(form)
}

/// A bare array.
pub(super) fn bare(rows: &[Message], form: Form) -> Value {
    rows.iter().map(|row| row.write(form)).collect()
}
