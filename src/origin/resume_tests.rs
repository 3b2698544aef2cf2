//! Tests of `resume`: heads of answers in, windows or mismatches out.

use super::*;
use proptest::prelude::*;

const SLICE: Wanted = Wanted::Slice(ByteRange { offset: 100, len: 50 });

fn head(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect()
}

fn window(skip: u64, left: u64, total: u64) -> Result<Window, Mismatch> {
    Ok(Window { skip, left: Some(left), total: Some(total) })
}

#[test]
fn asks_only_for_what_is_missing() {
    let asked = |wanted: &Wanted, from| {
        wanted.range_header(from).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert_eq!(asked(&Wanted::Whole, 0), "");
    assert_eq!(asked(&Wanted::Whole, 7), "bytes=7-");
    assert_eq!(asked(&SLICE, 0), "bytes=100-149");
    assert_eq!(asked(&SLICE, 20), "bytes=120-149");
    assert_eq!(asked(&Wanted::AsAsked(HeaderValue::from_static("bytes=-5")), 0), "bytes=-5");
}

#[test]
fn skips_what_is_held_when_the_origin_ignores_the_range() {
    let sized = head(&[("content-length", "1000")]);
    assert_eq!(Wanted::Whole.window(0, None, 200, &sized), window(0, 1000, 1000));
    assert_eq!(Wanted::Whole.window(300, None, 200, &sized), window(300, 700, 1000));
    assert_eq!(SLICE.window(20, None, 200, &sized), window(120, 30, 50));
    assert_eq!(SLICE.window(20, None, 200, &head(&[])), window(120, 30, 50));
    let unsized_ = Wanted::Whole.window(300, None, 200, &head(&[])).unwrap();
    assert_eq!(unsized_, Window { skip: 300, left: None, total: None });
}

#[test]
fn a_whole_shorter_than_what_is_held_is_refused() {
    let short = head(&[("content-length", "110")]);
    assert_eq!(Wanted::Whole.window(111, None, 200, &short), Err(Mismatch::WrongRange));
    assert_eq!(SLICE.window(20, None, 200, &short), Err(Mismatch::WrongRange));
    assert_eq!(SLICE.window(5, None, 200, &short), window(105, 5, 10));
}

#[test]
fn a_slice_deep_in_a_file_without_ranges_is_not_waited_for() {
    let deep = Wanted::Slice(ByteRange { offset: SKIP_BYTES_MAX + 1, len: 50 });
    assert_eq!(deep.window(0, None, 200, &head(&[])), Err(Mismatch::WrongRange));
}

#[test]
fn takes_the_range_asked_for_and_no_other() {
    let part = |text| head(&[("content-range", text)]);
    assert_eq!(Wanted::Whole.window(7, None, 206, &part("bytes 7-99/100")), window(0, 93, 100));
    assert_eq!(Wanted::Whole.window(7, None, 206, &part("bytes 7-99/*")), window(0, 93, 100));
    assert_eq!(SLICE.window(20, None, 206, &part("bytes 120-149/900")), window(0, 30, 50));
    assert_eq!(SLICE.window(0, None, 206, &part("bytes 100-119/120")), window(0, 20, 20));
    for wrong in [
        "bytes 8-99/100",
        "bytes 0-99/100",
        "bytes 9-7/100",
        "bytes 7-100/100",
        "bytes 7-18446744073709551615/*",
        "bytes */100",
        "items 7-99/100",
        "7-99/100",
        "",
    ] {
        let answer = Wanted::Whole.window(7, None, 206, &part(wrong));
        assert_eq!(answer, Err(Mismatch::WrongRange), "{wrong}");
    }
    assert_eq!(SLICE.window(0, None, 206, &part("bytes 100-150/900")), Err(Mismatch::WrongRange));
    assert_eq!(SLICE.window(0, None, 206, &head(&[])), Err(Mismatch::WrongRange));
    let unasked = Wanted::Whole.window(0, None, 206, &part("bytes 0-9/10"));
    assert_eq!(unasked, Err(Mismatch::WrongRange));
}

#[test]
fn what_still_grows_is_taken_to_its_end() {
    let rest = Wanted::From(100);
    let part = |range| head(&[("content-range", range)]);
    assert_eq!(rest.range_header(7), Some(HeaderValue::from_static("bytes=107-")));
    assert_eq!(rest.window(0, None, 206, &part("bytes 100-899/900")), window(0, 800, 800));
    assert_eq!(rest.window(7, None, 206, &part("bytes 107-899/900")), window(0, 793, 800));
    for open in ["bytes 100-149/*", "bytes 100-9007199254740991/*"] {
        assert_eq!(rest.window(0, None, 206, &part(open)), Ok(Window::default()));
    }
    assert_eq!(rest.window(0, None, 206, &part("bytes 0-899/900")), Err(Mismatch::WrongRange));
    let whole = rest.window(7, None, 200, &head(&[])).unwrap();
    assert_eq!((whole.skip, whole.left, whole.total), (107, None, None));
}

#[test]
fn a_range_cut_short_counts_as_incomplete() {
    let cut = head(&[("content-range", "bytes 7-49/100")]);
    assert_eq!(Wanted::Whole.window(7, None, 206, &cut), window(0, 93, 100));
}

#[test]
fn never_joins_two_versions_of_a_resource() {
    let known = Validator::from_headers(&head(&[("etag", "\"v1\"")])).unwrap();
    let answer = |status, etag| {
        let headers = head(&[("etag", etag), ("content-range", "bytes 7-99/100")]);
        Wanted::Whole.window(7, Some(&known), status, &headers)
    };
    assert!(answer(206, "\"v1\"").is_ok());
    assert!(answer(200, "\"v1\"").is_ok());
    assert_eq!(answer(206, "\"v2\""), Err(Mismatch::Changed));
    assert_eq!(answer(200, "\"v2\""), Err(Mismatch::Changed));
    let untagged = Wanted::Whole.window(7, Some(&known), 200, &head(&[]));
    assert_eq!(untagged, Err(Mismatch::Changed));
}

#[test]
fn a_weak_tag_is_no_validator() {
    assert_eq!(Validator::from_headers(&head(&[("etag", "W/\"v1\"")])), None);
    assert_eq!(Validator::from_headers(&head(&[])), None);
}

#[test]
fn an_unsatisfiable_range_is_an_error_and_other_statuses_are_answers() {
    assert_eq!(SLICE.window(0, None, 416, &head(&[])), Err(Mismatch::WrongRange));
    assert_eq!(SLICE.window(0, None, 404, &head(&[])), Ok(Window::default()));
    let raw = Wanted::AsAsked(HeaderValue::from_static("bytes=99-"));
    assert_eq!(raw.window(0, None, 416, &head(&[])), Ok(Window::default()));
}

proptest! {
    /// Whatever is held, and whether or not the origin knows ranges and says its lengths.
    #[test]
    fn an_honest_origin_yields_exactly_the_wanted_bytes(
        size in 1_u64..500,
        cut in proptest::option::of((0_u64..500, 1_u64..500)),
        held in 0_u64..500,
        knows_ranges: bool,
        says_length: bool,
    ) {
        let (start, len) = cut.map_or((0, size), |(at, len)| (at % size, len));
        let end = (start + len).min(size);
        let from = held % (end - start);
        let wanted = match cut {
            Some(_) => Wanted::Slice(ByteRange { offset: start, len }),
            None => Wanted::Whole,
        };
        let is_part = knows_ranges && wanted.range_header(from).is_some();
        let sent = if is_part { start + from..end } else { 0..size };
        let mut headers = HeaderMap::new();
        if is_part {
            let total = if says_length { size.to_string() } else { "*".to_owned() };
            let text = format!("bytes {}-{}/{total}", sent.start, sent.end - 1);
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
        } else if says_length {
            headers.insert(CONTENT_LENGTH, size.into());
        }
        let status = if is_part { 206 } else { 200 };
        let window = wanted.window(from, None, status, &headers).unwrap();
        let taken = sent.skip(window.skip as usize);
        let taken: Vec<u64> = taken.take(window.left.unwrap_or(u64::MAX) as usize).collect();
        prop_assert_eq!(taken, (start + from..end).collect::<Vec<_>>());
        if says_length {
            prop_assert_eq!(window.total, Some(end - start));
        }
    }

    #[test]
    fn no_head_makes_the_arithmetic_overflow(
        offset: u64, len in 1_u64.., from: u64, status in 200_u16..210,
        first: u64, last: u64, size: u64, length: u64,
    ) {
        let range = format!("bytes {first}-{last}/{size}");
        let headers = head(&[("content-range", &range), ("content-length", &length.to_string())]);
        for wanted in [Wanted::Slice(ByteRange { offset, len }), Wanted::Whole] {
            let _ = wanted.range_header(from);
            let _ = wanted.window(from, None, status, &headers);
        }
    }
}
