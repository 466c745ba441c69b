//! Which jobs a list shows (18-062r2, "Job list": `type`, `processID`, `status`, `datetime`, `minDuration`,
//! `maxDuration`).

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use weir_api::Phase;

use super::status::started;
use crate::backend::JobRecord;
use crate::problem::Problem;

const PHASES: [Phase; 5] = [Phase::Accepted, Phase::Running, Phase::Successful, Phase::Failed, Phase::Dismissed];

/// A filter; the default lets every job pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    processes: Vec<String>,
    statuses: Vec<Phase>,
    /// First moment and first moment no more.
    created: (Option<Timestamp>, Option<Timestamp>),
    duration_min: Option<u32>,
    duration_max: Option<u32>,
}

impl Filter {
    /// Of the pairs of a query. Lists are repeated parameters or have commas.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, Problem> {
        let mut filter = Self::default();
        for (name, value) in pairs {
            let mut list = value.split(',').map(str::trim);
            match name.as_str() {
                "type" => {
                    if let Some(other) = list.find(|item| *item != "process") {
                        let what = format!("`{other}` is no type of jobs");
                        return Err(Problem::invalid_parameter(name, what, "write process"));
                    }
                }
                "processID" => filter.processes.extend(list.map(str::to_owned)),
                "status" => {
                    for item in list {
                        let phase = PHASES.into_iter().find(|phase| phase.to_string() == item);
                        let phase = phase.ok_or_else(|| {
                            let right = "write some of accepted, running, successful, failed, dismissed";
                            Problem::invalid_parameter(name, format!("`{item}` is no status"), right)
                        })?;
                        filter.statuses.push(phase);
                    }
                }
                "datetime" => filter.created = interval(value)?,
                "minDuration" => filter.duration_min = Some(seconds(name, value)?),
                "maxDuration" => filter.duration_max = Some(seconds(name, value)?),
                "limit" | "skip" | "f" => {}
                // A filter that is passed over would show other jobs than were asked for.
                _ => {
                    let name: String = name.chars().take(40).collect();
                    let right = "there are type, processID, status, datetime, minDuration, maxDuration, limit, skip, f";
                    return Err(Problem::invalid_parameter(&name, "no parameter of the list of jobs", right));
                }
            }
        }
        Ok(filter)
    }

    /// Whether the job passes at this moment.
    pub fn passes(&self, job: &JobRecord, now: Timestamp) -> bool {
        let (from, until) = self.created;
        let is_timed = self.duration_min.is_some() || self.duration_max.is_some();
        (self.processes.is_empty() || self.processes.iter().any(|process| process == job.process.as_str()))
            && (self.statuses.is_empty() || self.statuses.contains(&job.phase))
            && from.is_none_or(|from| job.created >= from)
            && until.is_none_or(|until| job.created < until)
            && (!is_timed || self.lasts(job, now))
    }

    /// Running jobs count until now; jobs whose times do not say how long they took are left out
    /// (`/req/job-list/duration-response`).
    fn lasts(&self, job: &JobRecord, now: Timestamp) -> bool {
        let end = if job.phase.is_final() { job.finished } else { (job.phase == Phase::Running).then_some(now) };
        let Some((start, end)) = started(job).zip(end) else { return false };
        let seconds = end.duration_since(start).as_secs_f64();
        self.duration_min.is_none_or(|least| seconds >= f64::from(least))
            && self.duration_max.is_none_or(|most| seconds <= f64::from(most))
    }
}

fn seconds(name: &str, value: &str) -> Result<u32, Problem> {
    let wrong = |_| Problem::invalid_parameter(name, format!("`{}`", short(value)), "write a whole number of seconds");
    value.parse().map_err(wrong)
}

/// An instant, or `from/to` with `..` or nothing for an open end. An end means all of what it names: a day, a second.
fn interval(text: &str) -> Result<(Option<Timestamp>, Option<Timestamp>), Problem> {
    let wrong = || {
        let right = "write a time like 2024-10-22T04:18:54Z, a day, or an interval of them: 2024-10-22/..";
        Problem::invalid_parameter("datetime", format!("`{}`", short(text)), right)
    };
    let end = |text: &str| match text {
        "" | ".." => Ok(None),
        text => moment(text).map(Some).ok_or_else(wrong),
    };
    if matches!(text, "" | "/") {
        return Err(wrong());
    }
    let Some((from, to)) = text.split_once('/') else {
        let (from, until) = moment(text).ok_or_else(wrong)?;
        return Ok((Some(from), Some(until)));
    };
    let (from, to) = (end(from)?, end(to)?);
    let (from, until) = (from.map(|(from, _)| from), to.map(|(_, until)| until));
    match (from, until) {
        (Some(from), Some(until)) if from >= until => Err(wrong()),
        _ => Ok((from, until)),
    }
}

/// The span of time that a text names: first moment, and first moment no more.
fn moment(text: &str) -> Option<(Timestamp, Timestamp)> {
    // In a query `+` is a blank; in a time zone it is meant.
    let text = text.trim().replace(' ', "+");
    if let Ok(date) = text.parse::<Date>()
        && !text.contains(['T', 't'])
    {
        let start = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
        return Some((start, start.checked_add(SignedDuration::from_hours(24)).ok()?));
    }
    let start: Timestamp = text.parse().ok()?;
    let digits = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    // Answers have milliseconds: a moment copied from one finds its job.
    let precision = match digits {
        0 => SignedDuration::from_secs(1),
        1..=3 => SignedDuration::from_millis(10_i64.pow(3 - u32::try_from(digits).ok()?)),
        _ => {
            let milliseconds = Timestamp::from_millisecond(start.as_millisecond()).ok()?;
            return Some((milliseconds, milliseconds.checked_add(SignedDuration::from_millis(1)).ok()?));
        }
    };
    Some((start, start.checked_add(precision).ok()?))
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Asked;

    fn filter(query: &str) -> Result<Filter, Problem> {
        let pairs: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Filter::parse(&pairs)
    }

    fn job(phase: Phase) -> JobRecord {
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        JobRecord {
            id: "j".parse().unwrap(),
            process: "water-bodies".parse().unwrap(),
            phase,
            is_committed: false,
            progress: 0,
            message: None,
            created: moment("2024-10-22T04:18:54.378123Z"),
            started: (phase != Phase::Accepted).then(|| moment("2024-10-22T04:18:55Z")),
            finished: phase.is_final().then(|| moment("2024-10-22T04:19:05Z")),
            updated: moment("2024-10-22T04:18:55Z"),
            failure: None,
            steps: Vec::new(),
            asked: Asked::default(),
            subscriber: None,
        }
    }

    fn passes(query: &str, phase: Phase) -> bool {
        filter(query).unwrap().passes(&job(phase), "2024-10-22T05:00:00Z".parse().unwrap())
    }

    #[test]
    fn lists_are_alternatives_in_both_spellings() {
        assert!(passes("", Phase::Accepted) && passes("type=process", Phase::Failed));
        assert!(passes("processID=echo,water-bodies", Phase::Running));
        assert!(passes("processID=echo&processID=water-bodies", Phase::Running));
        assert!(!passes("processID=echo", Phase::Running));
        assert!(
            passes("status=failed,successful", Phase::Failed) && passes("status=failed&status=running", Phase::Running)
        );
        assert!(!passes("status=failed", Phase::Dismissed));
        assert!(!passes("status=failed&processID=echo", Phase::Failed));
    }

    #[test]
    fn the_time_of_creation_is_an_instant_a_day_or_an_interval() {
        for inside in [
            "2024-10-22T04:18:54Z",
            "2024-10-22T04:18:54.378Z",
            "2024-10-22T04:18:54.378123Z",
            "2024-10-22T04:18:54.378000Z",
            "../..",
            "2024-10-22T06:18:54 02:00",
            "2024-10-22",
            "../2024-10-22",
            "2024-10-22/..",
            "2024-10-21/2024-10-22T04:18:54Z",
            "/2025-01-01",
            "2024-10-22T04:18:54Z/",
        ] {
            assert!(passes(&format!("datetime={inside}"), Phase::Accepted), "{inside}");
        }
        for outside in
            ["2024-10-22T04:18:55Z", "2024-10-21", "../2024-10-21", "2024-10-23/..", "2024-10-22T04:18:54.379Z"]
        {
            assert!(!passes(&format!("datetime={outside}"), Phase::Accepted), "{outside}");
        }
    }

    #[test]
    fn durations_count_until_the_end_or_until_now() {
        assert!(passes("minDuration=10&maxDuration=10", Phase::Successful));
        assert!(!passes("minDuration=11", Phase::Successful) && !passes("maxDuration=9", Phase::Dismissed));
        assert!(passes("minDuration=2000", Phase::Running) && !passes("maxDuration=2000", Phase::Running));
        assert!(!passes("minDuration=0", Phase::Accepted));
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_can() {
        let refused = |query: &str| filter(query).unwrap_err().detail;
        insta::assert_snapshot!(refused("state=running"), @"state: no parameter of the list of jobs; there are type, processID, status, datetime, minDuration, maxDuration, limit, skip, f");
        insta::assert_snapshot!(refused("status=done"), @"status: `done` is no status; write some of accepted, running, successful, failed, dismissed");
        insta::assert_snapshot!(refused("type=workflow"), @"type: `workflow` is no type of jobs; write process");
        insta::assert_snapshot!(refused("datetime=yesterday"), @"datetime: `yesterday`; write a time like 2024-10-22T04:18:54Z, a day, or an interval of them: 2024-10-22/..");
        insta::assert_snapshot!(refused("datetime=2025-01-01/2024-01-01"), @"datetime: `2025-01-01/2024-01-01`; write a time like 2024-10-22T04:18:54Z, a day, or an interval of them: 2024-10-22/..");
        for empty in ["status=", "datetime=", "datetime=/", "minDuration=", "maxDuration=1e99", "datetime=a/b/c"] {
            assert!(filter(empty).is_err(), "{empty}");
        }
        insta::assert_snapshot!(refused("minDuration=-1"), @"minDuration: `-1`; write a whole number of seconds");
    }
}
