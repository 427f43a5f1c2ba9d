//! Lists: `?limit=` and `?cursor=` in, `{data, next_cursor}` out, newest first.
//!
//! A cursor is the id of the last row shown, sealed with the master key and bound to the tenant, the path and the other
//! query parameters: it cannot be made up, altered, or used for another list.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hookgate_domain::crypto::MasterKey;
use hookgate_domain::page::{Effort, Found, Page as Rows};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::auth::Caller;
use crate::error::{ApiError, ApiResult, ErrorCode, FieldCode};
use crate::fields::{self, Fields, FromFields, Read};
use crate::state::State;

const LIMIT_DEFAULT: u16 = 50;
const LIMIT_MOST: u16 = 200;

/// A part of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The objects.
    pub data: Vec<T>,
    /// Give it as `cursor` to go on; null at the end of the list. A page can have less than `limit`, and even nothing, and the list
    /// go on: what filters find seldom is looked for part by part.
    pub next_cursor: Option<String>,
}

/// The query parameters of every list, for `params(PagingParams)`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)]
pub struct PagingParams {
    /// How many objects to give at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
    /// Where to go on: `next_cursor` of the page before, with the same other parameters.
    cursor: Option<String>,
}

/// A list without filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoFilters;

impl FromFields for NoFilters {
    fn from_fields(_: &mut Fields) -> Option<Self> {
        Some(Self)
    }
}

/// The query of a list: where it goes on, how much of it, and its filters.
pub struct Paging<F = NoFilters> {
    /// The filters.
    pub filters: F,
    limit: u16,
    cursor: Option<String>,
    list: String,
}

struct Query<F> {
    limit: u16,
    cursor: Option<String>,
    filters: F,
}

impl<F: FromFields> FromFields for Query<F> {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let limit = fields.or("limit", LIMIT_DEFAULT, limit);
        let cursor = fields.optional("cursor", fields::text(1..=200));
        let filters = F::from_fields(fields);
        Some(Self {
            limit: limit?,
            cursor: cursor?,
            filters: filters?,
        })
    }
}

fn limit(value: Value) -> Read<u16> {
    match fields::parsed(value) {
        Ok(limit) if (1..=LIMIT_MOST).contains(&limit) => Ok(limit),
        _ => fields::wrong(FieldCode::OutOfRange, format!("must be from 1 to {LIMIT_MOST}")),
    }
}

impl<F: FromFields> FromRequest for Paging<F> {
    type Error = ApiError;
    type Future = Ready<ApiResult<Self>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = || url::form_urlencoded::parse(request.query_string().as_bytes());
        // What a cursor is bound to: the path, and the filters in whatever order they are given.
        let filters: BTreeMap<Cow<'_, str>, Cow<'_, str>> = pairs()
            .filter(|(name, _)| name != "limit" && name != "cursor")
            .collect();
        let list = format!("{}?{filters:?}", request.path());
        let query = fields::read_query::<Query<F>>(pairs().map(|(name, value)| (name.into(), value.into())));
        ready(query.map(|query| Self {
            filters: query.filters,
            limit: query.limit,
            cursor: query.cursor,
            list,
        }))
    }
}

impl<F> Paging<F> {
    /// The part of the list that the caller asks for.
    ///
    /// # Errors
    /// 400 when the cursor was not given out for this list and tenant.
    pub fn window(&self, caller: &Caller) -> ApiResult<Window> {
        self.window_of(&caller.scope.tenant().to_string(), caller.state())
    }

    /// The part of a list over all tenants that the operator asks for.
    ///
    /// # Errors
    /// 400 when the cursor was not given out for this list.
    pub(crate) fn window_of_operator(&self, state: &State) -> ApiResult<Window> {
        self.window_of("operator", state)
    }

    fn window_of(&self, whose: &str, state: &State) -> ApiResult<Window> {
        let context = format!("cursor/{whose}/{}", self.list);
        let master_key = state.master_key.clone();
        let before = self
            .cursor
            .as_deref()
            .map(|cursor| open(&master_key, &context, cursor))
            .transpose()?;
        Ok(Window {
            master_key,
            context,
            before,
            limit: self.limit,
            effort: state.settings.effort(),
        })
    }
}

fn open(master_key: &MasterKey, context: &str, cursor: &str) -> ApiResult<Uuid> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|sealed| master_key.open(context, &sealed).ok())
        .and_then(|id| Uuid::from_slice(&id).ok())
        .ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidCursor,
                "take the cursor from next_cursor, and leave the other parameters as they were",
            )
        })
}

/// A part of a list, proven to be the caller's.
#[derive(Clone)]
pub struct Window {
    master_key: MasterKey,
    context: String,
    before: Option<Uuid>,
    limit: u16,
    effort: Effort,
}

impl Window {
    /// What to read: one row more than is shown, so that it is known whether there are more.
    pub fn rows(&self) -> Rows {
        Rows {
            before: self.before,
            limit: i64::from(self.limit) + 1,
            effort: self.effort,
        }
    }

    /// Makes the page of the rows that were read.
    ///
    /// # Errors
    /// 500 when the cursor cannot be sealed.
    pub fn page<R, T>(
        &self,
        found: impl Into<Found<R>>,
        id: impl Fn(&R) -> Uuid,
        view: impl FnMut(R) -> T,
    ) -> ApiResult<Page<T>> {
        let Found { mut rows, seen_to } = found.into();
        let limit = usize::from(self.limit);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more).map(id);
        let next_cursor = last
            .or(seen_to)
            .map(|id| self.master_key.seal(&self.context, id.as_bytes()))
            .transpose()?
            .map(|sealed| URL_SAFE_NO_PAD.encode(sealed));
        Ok(Page {
            data: rows.into_iter().map(view).collect(),
            next_cursor,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(context: &str) -> Window {
        let master_key = MasterKey::from_bytes(&[1; 32]);
        Window {
            master_key,
            context: context.to_owned(),
            before: None,
            limit: 2,
            effort: Effort::ALL,
        }
    }

    #[test]
    fn a_page_that_ends_early_goes_on_where_it_was_looked_to() {
        let [first, seen] = [9, 5].map(Uuid::from_u128);
        let found = Found {
            rows: vec![first],
            seen_to: Some(seen),
        };
        let page = window("a").page(found, |id| *id, |id| id).expect("a page");
        assert_eq!(page.data, [first]);
        let key = MasterKey::from_bytes(&[1; 32]);
        assert_eq!(
            open(&key, "a", &page.next_cursor.expect("more")).expect("opens"),
            seen
        );
    }

    #[test]
    fn a_cursor_works_for_its_own_list_alone() {
        let ids: Vec<Uuid> = (0..3).map(Uuid::from_u128).collect();
        let page = window("a").page(ids.clone(), |id| *id, |id| id).expect("a page");
        assert_eq!(page.data, ids[..2]);
        let cursor = page.next_cursor.expect("more");
        let key = MasterKey::from_bytes(&[1; 32]);
        assert_eq!(open(&key, "a", &cursor).expect("opens"), ids[1]);
        assert!(open(&key, "b", &cursor).is_err());
        assert!(open(&key, "a", &format!("{cursor}A")).is_err());
        assert!(open(&key, "a", "").is_err());
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let ids: Vec<Uuid> = (0..2).map(Uuid::from_u128).collect();
        assert_eq!(
            window("a")
                .page(ids, |id| *id, |id| id)
                .expect("a page")
                .next_cursor,
            None
        );
    }
}
