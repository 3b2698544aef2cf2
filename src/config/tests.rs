//! What the configuration reads, refuses and shows.

use super::*;

fn read(text: &str) -> Result<Config, String> {
    Config::from_toml(text, Path::new("c.toml")).map_err(|error| error.to_string())
}

#[test]
fn the_example_file_is_generated_from_the_settings_and_gives_exactly_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    let expected = format!(
        "# hlswarm: every setting with its default. Copy what you change to\n\
         # ~/.config/hlswarm/config.toml or /etc/hlswarm/config.toml.\n\n{}",
        Config::default().to_toml(true)
    );
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, expected, "run `UPDATE=1 cargo test config` to write it anew");
    assert_eq!(Config::from_toml(&text, &path).unwrap(), Config::default());
}

#[test]
fn an_error_names_file_line_key_and_what_is_allowed() {
    for (text, message) in [
        ("[http]\nlisten = 5\n", "c.toml:2: http.listen: must be an address and port such as"),
        ("[cache]\n\nbytes_max = -1\n", "c.toml:3: cache.bytes_max: must be a whole number"),
        ("[p2p]\nuploads_max = 0\n", "c.toml:2: p2p.uploads_max: must be a number from 1 to 100"),
        ("[p2p]\nenabeld = true\n", "c.toml:2: p2p.enabeld: unknown key; allowed: enabled, "),
        ("\n[pp]\n", "c.toml:2: pp: unknown section; allowed: http, cache, origin, p2p"),
        ("http = 3\n", "c.toml:1: http: must be a section: [http]"),
        ("[p2p]\ntrackers = [1]\n", "c.toml:2: p2p.trackers: must be a list in square"),
        ("[p2p\n", "c.toml:1: syntax: "),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with(message), "{error}\n{message}");
        assert!(!error.contains('\n'), "one line: {error}");
    }
}

#[test]
fn the_environment_goes_over_the_file() {
    let mut config = read("[cache]\nbytes_max = 1_000\n[p2p]\nupload = false\n").unwrap();
    let set = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    config.apply_environment(&set("HLSWARM_P2P_TRACKERS", "ws://a, ws://b")).unwrap();
    config.apply_environment(&set("HLSWARM_CACHE_BYTES_MAX", "0x10")).unwrap_err();
    config.apply_environment(&set("HLSWARM_CONFIG", "elsewhere.toml")).unwrap();
    assert_eq!(config.p2p.trackers, ["ws://a", "ws://b"]);
    assert_eq!((config.cache.bytes_max, config.p2p.upload), (1_000, false));
}

#[test]
fn the_password_of_a_proxy_is_never_printed() {
    let text = "[origin]\nproxy = \"http://me:s3cret@p.test:3128\"\n\
                proxy_hosts = [\"a.test=socks5://s3cret@b.test\"]\n";
    let config = read(text).unwrap();
    let shown = config.to_toml(false) + &format!("{config:?}");
    assert!(shown.contains("proxy = \"http://***@p.test:3128\""), "{shown}");
    let error = read("[origin]\nproxy = \"ftp://s3cret@p.test\"\n").unwrap_err();
    assert!(!(shown + &error).contains("s3cret"));
}

#[test]
fn a_file_that_was_asked_for_must_exist() {
    let error = Config::load(Some(Path::new("/nonexistent/c.toml")), &[]).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/c.toml: "), "{error}");
    assert_eq!(find_file(None, &[("HOME".into(), "/nonexistent".into())]), None);
}
