//! Mails that tell people what was done with their account. Whoever did it knows; if it was somebody else, the owner hears of it.

use serde::{Deserialize, Serialize};

use super::letter::Written;

/// What was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub(crate) enum Notice {
    /// The password is another one.
    PasswordChanged,
    /// Another address is asked for.
    EmailChangeAsked { new: String },
    /// The address is another one.
    EmailChanged { new: String },
    /// Logins ask for codes.
    SecondFactorEnabled,
    /// Logins ask for no codes any more.
    SecondFactorDisabled,
    /// The operator has taken the second factor away.
    SecondFactorRemoved,
}

impl Notice {
    /// Writes it.
    pub(super) fn write(&self) -> Written {
        let reset = "choose a new password at once: that ends all logins";
        let (subject, what, otherwise) = match self {
            Self::PasswordChanged => (
                "Your password was changed",
                "The password of your Hookgate account was changed, and its other logins were ended."
                    .to_owned(),
                "ask for a new password at once: the mail comes to this address",
            ),
            Self::EmailChangeAsked { new } => (
                "Another e-mail address for your account",
                format!(
                    "Somebody with your password asked that the address of your Hookgate account be {new} from now on. \
                     It is changed when that address is verified."
                ),
                "choose a new password at once: that stops it, and ends all logins",
            ),
            Self::EmailChanged { new } => (
                "Your e-mail address was changed",
                format!(
                    "The address of your Hookgate account is {new} from now on; this one is not used any more."
                ),
                "tell the operator of this installation",
            ),
            Self::SecondFactorEnabled => (
                "Your account has a second factor",
                "Logging in to your Hookgate account needs a code of an authenticator app from now on."
                    .to_owned(),
                reset,
            ),
            Self::SecondFactorDisabled => (
                "Your account has no second factor any more",
                "Logging in to your Hookgate account needs no code of an authenticator app any more."
                    .to_owned(),
                reset,
            ),
            Self::SecondFactorRemoved => (
                "Your second factor was removed",
                "The operator of this installation has removed the second factor of your Hookgate account, as was asked for, and ended \
                 its logins. Logging in needs the password alone from now on: set up a second factor again."
                    .to_owned(),
                "tell the operator of this installation, and choose a new password at once",
            ),
        };
        Written {
            subject: subject.to_owned(),
            text: format!("{what}\n\nIf it was not you, {otherwise}.\n"),
            link: None,
        }
    }
}
