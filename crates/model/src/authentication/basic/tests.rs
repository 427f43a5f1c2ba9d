use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::authentication::Verifier;
use crate::authentication::testing::{Sent, id, problems, verifier};

fn basic() -> Verifier {
    let users = json!({"kind": "basic", "users": [{"name": "Aladdin", "passwords": [id(1), id(2)]}, {"name": "test", "passwords": [id(3)]}]});
    verifier(users, &["open sesame", "new:with colon", "123\u{a3}"])
}

/// The examples of RFC 7617 (sections 2 and 2.1), then what is not quite right.
#[test]
fn users_come_in_with_their_own_passwords() {
    let wrong = Err(DenialCode::CredentialsWrong);
    let table = [
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned(), Ok(Some(id(1)))),
        ("Basic dGVzdDoxMjPCow==".to_owned(), Ok(Some(id(3)))),
        ("basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ== ".to_owned(), Ok(Some(id(1)))),
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ".to_owned(), Ok(Some(id(1)))),
        (
            format!("Basic {}", STANDARD.encode("Aladdin:new:with colon")),
            Ok(Some(id(2))),
        ),
        (format!("Basic {}", STANDARD.encode("Aladdin:123\u{a3}")), wrong),
        (format!("Basic {}", STANDARD.encode("test:open sesame")), wrong),
        (format!("Basic {}", STANDARD.encode("aladdin:open sesame")), wrong),
        (format!("Basic {}", STANDARD.encode("Aladdin:open sesam")), wrong),
        (
            format!("Basic {}", STANDARD.encode("Aladdin:open sesame ")),
            wrong,
        ),
        (format!("Basic {}", STANDARD.encode("Aladdin:")), wrong),
        (format!("Basic {}", STANDARD.encode("Aladdin")), wrong),
        (format!("Basic {}", STANDARD.encode(":")), wrong),
        ("Basic".to_owned(), wrong),
        ("Basic ?".to_owned(), wrong),
        ("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned(), wrong),
        (String::new(), wrong),
    ];
    for (header, expected) in table {
        let sent = Sent::new("").header("Authorization", header.clone());
        assert_eq!(sent.secret(&basic()), expected, "{header}");
    }
    assert_eq!(
        Sent::new("").secret(&basic()),
        Err(DenialCode::CredentialsMissing)
    );
    let right = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    let twice = Sent::new("")
        .header("Authorization", right)
        .header("authorization", right);
    assert_eq!(twice.secret(&basic()), wrong);
}

#[test]
fn settings_that_cannot_work_are_told() {
    let table = [
        (json!({"kind": "basic", "users": []}), vec!["/users"]),
        (
            json!({"kind": "basic", "users": [{"name": "", "passwords": []}, {"name": "a:b", "passwords": [id(1)]}]}),
            vec!["/users/0/name", "/users/0/passwords", "/users/1/name"],
        ),
        (
            json!({"kind": "basic", "users": [{"name": "a", "passwords": [id(1)]}, {"name": "a", "passwords": [id(2)]}]}),
            vec!["/users/1/name"],
        ),
    ];
    for (json, expected) in table {
        assert_eq!(problems(json.clone()), expected, "{json}");
    }
}
