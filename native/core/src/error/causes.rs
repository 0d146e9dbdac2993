//! The chain of causes under an error, in words that may be shown.
//!
//! Other crates write their errors for developers who debug them: some print keys, ids or whole
//! messages that they refuse. What stands here is their sentence without any value in it.

use std::error::Error as StdError;

use crate::error::Error;

/// The most links that are told: nothing of ours has more than half of them.
const MOST: usize = 8;
/// The longest sentence, in characters.
const LONGEST: usize = 300;

impl Error {
    /// What this failure came from, the nearest cause first. No link repeats the one before, and none
    /// carries values: no keys, no ids, no bytes.
    pub fn causes(&self) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next.filter(|_| told.len() < MOST) {
            let words = words_of(cause);
            let before = told.last().map_or(&*self.message, |last| last);
            if !words.is_empty() && words != before {
                told.push(words);
            }
            next = cause.source();
        }
        told
    }
}

fn words_of(cause: &(dyn StdError + 'static)) -> String {
    if let Some(own) = cause.downcast_ref::<Error>() {
        return own.message.clone();
    }
    if let Some(cause) = cause.downcast_ref::<tls_codec::Error>() {
        return words_of_codec(cause);
    }
    without_values(&cause.to_string())
}

fn words_of_codec(cause: &tls_codec::Error) -> String {
    match cause {
        tls_codec::Error::EndOfStream => "The bytes end too early.".to_owned(),
        tls_codec::Error::TrailingData => "There are bytes behind the end.".to_owned(),
        tls_codec::Error::UnknownValue(value) => format!("The number {value} has no meaning where it stands."),
        tls_codec::Error::DecodingError(words) => without_values(words),
        other => without_values(&other.to_string()),
    }
}

/// One line, up to the first value: what is printed for debugging begins with one of these marks.
fn without_values(text: &str) -> String {
    // OpenMLS wraps its own words like this where something inside it went wrong.
    let text = match text.strip_prefix("InternalLibraryError { ") {
        Some(inner) => inner.trim_end().trim_end_matches('}'),
        None => text,
    };
    let end = text.find(['[', '{', '"', '`']).unwrap_or(text.len());
    let mut words = text[..end].split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = words.char_indices().nth(LONGEST).map(|(place, _)| place);
    words.truncate(cut.unwrap_or(words.len()));
    if end < text.len() || cut.is_some() {
        words.push('…');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    /// Says what it is told to say.
    #[derive(Debug)]
    struct Says(String, Option<Box<Says>>);

    impl std::fmt::Display for Says {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }

    impl StdError for Says {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            self.1.as_deref().map(|says| says as _)
        }
    }

    fn chain(words: &[&str]) -> Option<Box<Says>> {
        let (first, rest) = words.split_first()?;
        Some(Box::new(Says((*first).to_owned(), chain(rest))))
    }

    fn told(words: &[&str]) -> Vec<String> {
        let cause = *chain(words).expect("there are words");
        Error::new(Code::DatabaseIo, "It failed.").caused_by(cause).causes()
    }

    #[test]
    fn the_chain_is_told_from_the_nearest_cause_on_and_nothing_twice() {
        assert_eq!(
            told(&["disk I/O error", "No space left on device (os error 28)"]).len(),
            2
        );
        assert_eq!(
            told(&["It failed.", "disk I/O error", "disk I/O error"]),
            ["disk I/O error"]
        );
        assert_eq!(told(&["a"; 100]), ["a"]);
        let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(told(&many.iter().map(|one| &**one).collect::<Vec<_>>()).len(), MOST);
    }

    #[test]
    fn values_are_cut_off() {
        let secret = [0x5e_u8, 0xc2, 0xe7];
        for text in [
            format!("Expected a proposal, got {secret:?}"),
            format!("The PSK {:?} is there twice", tls_codec::VLBytes::new(secret.to_vec())),
            format!("invalid type: string {:?}, expected a map", "secret"),
            "unknown variant `secret`, expected one of".to_owned(),
        ] {
            let words = told(&[&text]).remove(0);
            assert!(words.ends_with('…'), "{words}");
            for value in ["secret", "5e", "94", "194"] {
                assert!(!words.contains(value), "{words}");
            }
        }
        assert_eq!(told(&["two\nlines\t here"]), ["two lines here"]);
        assert!(told(&["long ".repeat(1000).as_str()])[0].len() < 2 * LONGEST);
    }

    #[test]
    fn what_bytes_lack_is_a_sentence() {
        let of = |cause| Error::new(Code::MessageInvalid, "It failed.").caused_by(cause).causes();
        assert_eq!(of(tls_codec::Error::EndOfStream), ["The bytes end too early."]);
        assert_eq!(of(tls_codec::Error::TrailingData), ["There are bytes behind the end."]);
        let words = tls_codec::Error::DecodingError("Found duplicate extensions".to_owned());
        assert_eq!(of(words), ["Found duplicate extensions"]);
    }
}
