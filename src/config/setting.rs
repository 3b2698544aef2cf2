//! What a setting is: a typed value that can be read from TOML or from an environment variable,
//! checked against its range, and printed back.
//!
//! The `settings!` macro keeps a setting's type, default, range and explanation on one struct
//! field. It knows nothing of particular sections (those are in `config`) and reads no file.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::http::delay::LiveDelay;
use crate::origin::proxy::{HostProxy, Proxy};
use crate::playlist::quality::Quality;
use crate::verify::hash_list::ListPlace;
use crate::verify::ladder::Mode;
use toml::de::DeValue;

/// A type that a setting can have.
pub trait Setting: Sized {
    /// Reads a TOML value; the error says what is allowed.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String>;
    /// Reads the text of an environment variable; the error says what is allowed.
    fn from_text(text: &str) -> Result<Self, String>;
    /// The value as TOML source; a proxy without its password.
    fn to_toml(&self) -> String;
}

/// Checks a value against the range that stands on its field.
pub fn in_range<T: PartialOrd + Display>(value: T, range: &RangeInclusive<T>) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("a number from {} to {}", range.start(), range.end()))
}

impl Setting for bool {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| "true or false".to_owned())
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "true or false".to_owned())
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl Setting for u64 {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let integer = value.as_integer().ok_or("a whole number")?;
        let digits = integer.as_str().replace('_', "");
        Self::from_str_radix(&digits, integer.radix()).map_err(|_| "a whole number".to_owned())
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "a whole number".to_owned())
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

/// Strings and what is written as one.
macro_rules! text_setting {
    ($type:ty, $allowed:expr) => {
        impl Setting for $type {
            fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
                Self::from_text(value.as_str().ok_or($allowed)?)
            }

            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| $allowed.to_owned())
            }

            fn to_toml(&self) -> String {
                toml::Value::String(self.to_string()).to_string()
            }
        }
    };
}
text_setting!(String, "a text in quotes");
text_setting!(Proxy, "a URL such as \"http://host:3128\" or \"socks5://host:1080\"");
text_setting!(HostProxy, "\"host=proxy\", such as \"example.com=socks5://host:1080\"");
text_setting!(Mode, "\"ladder\", \"head\" or \"strict\"");
text_setting!(ListPlace, "\"playlists=list\", two http:// or https:// URLs");
text_setting!(SocketAddr, "an address and port such as \"127.0.0.1:4570\"");
text_setting!(IpAddr, "an IP address in quotes");

const DELAYS: &str = "\"auto\" or a number of seconds from 0 to 120";

impl Setting for LiveDelay {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let text = match value {
            DeValue::Integer(integer) => integer.as_str(),
            DeValue::Float(float) => float.as_str(),
            value => value.as_str().ok_or(DELAYS)?,
        };
        Self::from_text(text)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|()| DELAYS.to_owned())
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Automatic => "\"auto\"".to_owned(),
            Self::Fixed(_) => self.to_string(),
        }
    }
}

const QUALITIES: &str = "\"auto\", \"max\", \"min\" or a height such as 720";

impl Setting for Quality {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let text = match value {
            DeValue::Integer(integer) => integer.as_str(),
            value => value.as_str().ok_or(QUALITIES)?,
        };
        Self::from_text(text)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|()| QUALITIES.to_owned())
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Height(_) => self.to_string(),
            _ => format!("\"{self}\""),
        }
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let items = value.as_array().ok_or("a list in square brackets")?;
        items
            .iter()
            .map(|item| T::from_toml(item.get_ref()))
            .collect::<Result<_, _>>()
            .map_err(|allowed| format!("a list in square brackets, each item {allowed}"))
    }

    fn from_text(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(T::from_text).collect()
    }

    fn to_toml(&self) -> String {
        let items: Vec<_> = self.iter().map(Setting::to_toml).collect();
        format!("[{}]", items.join(", "))
    }
}

/// One setting as the example file and `hlswarm config` print it.
pub struct Described {
    /// Key within its section.
    pub key: &'static str,
    /// Lines of explanation.
    pub explanation: Vec<&'static str>,
    /// Value as TOML source.
    pub value: String,
}

/// Defines a section: a struct whose fields carry default, optional range (`in`) or other check
/// (`all`), and explanation.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = $default:expr $(, in $range:expr)? $(, all $check:path)?;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $crate::config::Section for $name {
            fn about(&self) -> Vec<&'static str> {
                vec![$($about),+]
            }

            fn keys(&self) -> Vec<&'static str> {
                vec![$(stringify!($field)),+]
            }

            fn set_toml(
                &mut self,
                key: &str,
                value: &toml::de::DeValue<'_>,
            ) -> Result<(), String> {
                match key {
                    $(stringify!($field) => {
                        let value = <$type as $crate::config::setting::Setting>::from_toml(value)?;
                        $(let value = $crate::config::setting::in_range(value, &$range)?;)?
                        $($check(&value)?;)?
                        self.$field = value;
                    })+
                    _ => return Err(format!("one of: {}", self.keys().join(", "))),
                }
                Ok(())
            }

            fn set_text(&mut self, key: &str, text: &str) -> Result<(), String> {
                match key {
                    $(stringify!($field) => {
                        let value = <$type as $crate::config::setting::Setting>::from_text(text)?;
                        $(let value = $crate::config::setting::in_range(value, &$range)?;)?
                        $($check(&value)?;)?
                        self.$field = value;
                    })+
                    _ => return Err(format!("one of: {}", self.keys().join(", "))),
                }
                Ok(())
            }

            fn describe(&self) -> Vec<$crate::config::setting::Described> {
                vec![$($crate::config::setting::Described {
                    key: stringify!($field),
                    explanation: vec![$($doc),+],
                    value: $crate::config::setting::Setting::to_toml(&self.$field),
                }),+]
            }
        }
    };
}
pub(crate) use settings;
