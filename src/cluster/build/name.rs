//! Names and label values, made of texts that may hold anything.

use sha2::{Digest, Sha256};
use weir_plan::Incarnation;

/// Characters of a DNS label (RFC 1123). A pod's name becomes its host name, so it stays within one label.
const NAME_LENGTH_MAX: usize = 63;
/// Characters of a label's value.
const LABEL_LENGTH_MAX: usize = 63;
/// Hexadecimal digits that make a name unique: 40 bits, for names that agree in job, step and number already.
const HASH_DIGITS: usize = 10;

/// The name of an incarnation's pod: `<job>-<step>-<number>-<hash>`, the same for the same arguments. Job and step are cut
/// to fit; the hash covers them whole.
pub fn pod_name(job: &str, run_id: &str, step: &str, incarnation: Incarnation) -> String {
    let mut hasher = Sha256::new();
    for part in [job, run_id, step] {
        // Lengths keep `a` + `bc` apart from `ab` + `c`.
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.update(incarnation.0.to_be_bytes());
    let hash = &hex::encode(hasher.finalize())[..HASH_DIGITS];
    let tail = format!("{}-{hash}", incarnation.0);
    let room = NAME_LENGTH_MAX - tail.len() - "--".len();
    let (job, step) = (slug(job, "job"), slug(step, "step"));
    // What one does not need, the other gets.
    let step = cut(&step, (room / 2).max(room.saturating_sub(job.len())));
    let job = cut(&job, room - step.len());
    format!("{job}-{step}-{tail}")
}

/// A text as the value of a label: what is not allowed becomes `-`, what is too long is cut. Empty stays empty.
pub fn label_value(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let clean: String = text.chars().map(allowed).collect();
    let clean = clean.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let end = clean.len().min(LABEL_LENGTH_MAX);
    clean[..end].trim_end_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// Lower-case letters, digits and single dashes between them; `otherwise` if nothing is left.
pub(crate) fn slug(text: &str, otherwise: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if words.is_empty() { otherwise.to_owned() } else { words.join("-") }
}

/// The beginning of a slug, at most so long.
fn cut(slug: &str, length: usize) -> &str {
    slug[..slug.len().min(length)].trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_dns_label(name: &str) -> bool {
        let inner = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        (1..=63).contains(&name.len()) && inner && !name.starts_with('-') && !name.ends_with('-')
    }

    fn is_label_value(value: &str) -> bool {
        let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
        value.len() <= 63
            && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && edge(value.chars().next())
            && edge(value.chars().last())
    }

    #[test]
    fn a_name_says_job_step_and_number() {
        let name = |job, step| pod_name(job, "0b7e", step, Incarnation(12));
        insta::assert_snapshot!(name("water", "node_crop"), @"water-node-crop-12-b658a3241a");
        insta::assert_snapshot!(name("6f2b8e7c-9a1d-4c3b-8e5f-0a1b2c3d4e5f", "node_normalized_difference"), @"6f2b8e7c-9a1d-4c3b-8e5f-node-normalized-differen-12-918195e254");
        insta::assert_snapshot!(name("…", ""), @"job-step-12-43e6d5de29");
    }

    #[test]
    fn labels_keep_what_they_can() {
        assert_eq!(label_value("node_crop"), "node_crop");
        assert_eq!(label_value("Größe!"), "Gr--e");
        assert_eq!(label_value("…"), "");
        assert_eq!(label_value(&format!("{}.-x", "a".repeat(62))), "a".repeat(62));
    }

    proptest! {
        #[test]
        fn every_name_is_a_dns_label(job in "\\PC{0,80}", run in "\\PC{0,40}", step in "\\PC{0,80}", number: u64) {
            let name = pod_name(&job, &run, &step, Incarnation(number));
            prop_assert!(is_dns_label(&name), "{}", name);
            prop_assert_eq!(&name, &pod_name(&job, &run, &step, Incarnation(number)));
        }

        #[test]
        fn names_differ_wherever_what_they_name_differs(
            a in ("[a-b._-]{0,70}", "[a-b]{0,2}", "[a-b_-]{0,70}", 0u64..3),
            b in ("[a-b._-]{0,70}", "[a-b]{0,2}", "[a-b_-]{0,70}", 0u64..3),
        ) {
            let name = |(job, run, step, number): &(String, String, String, u64)| {
                pod_name(job, run, step, Incarnation(*number))
            };
            prop_assert_eq!(a == b, name(&a) == name(&b));
        }

        #[test]
        fn every_label_value_is_valid(text in "\\PC{0,100}") {
            prop_assert!(is_label_value(&label_value(&text)));
        }
    }
}
