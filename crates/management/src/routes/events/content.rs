//! What events brought: bodies and files, to be saved.
//!
//! Whatever a sender calls its bytes, a browser must only ever save them: they could be a page with scripts.

use actix_web::http::header::{
    self, Charset, ContentDisposition, DispositionParam, DispositionType, ExtendedValue, HeaderName,
    HeaderValue,
};
use actix_web::{HttpResponse, get};
use bytes::Bytes;
use hookgate_domain::events::{self, EventContent};
use hookgate_model::body::{Body, File, most_memory};
use hookgate_model::headers;
use hookgate_model::ids::EventId;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use super::view::{FileList, FileView};
use crate::auth::Guarded;
use crate::auth::permissions::EventsRead;
use crate::body::Reply;
use crate::error::{ApiError, ApiResult, ErrorCode};
use crate::fields::{Fields, FromFields, parsed};
use crate::path::Path;
use crate::query::Query;

pub(super) fn register(config: &mut ServiceConfig<'_>) {
    config
        .service(download_body)
        .service(list_files)
        .service(download_file);
}

/// The sender's `content-encoding` of bytes that are given as they were sent. Under its own name a client would decode them.
const SENT_ENCODING: HeaderName = HeaderName::from_static("hookgate-content-encoding");
/// The longest name under which a file is saved, in characters.
const NAME_CHARACTERS: usize = 100;

/// In which form a body is wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Form {
    /// Whether its content encoding, such as gzip, is taken off. By default the bytes come as they were sent, and the
    /// header `hookgate-content-encoding` names their encoding.
    #[param(default = false)]
    decoded: Option<bool>,
}

impl FromFields for Form {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let decoded = fields.optional("decoded", parsed);
        Some(Self { decoded: decoded? })
    }
}

/// Download the body of an event
///
/// Byte for byte as it was sent, with the content type that the sender gave.
#[utoipa::path(tag = "events", operation_id = "getEventBody", security(("bearer" = ["events:read"])),
    params(Form),
    responses((status = 200, description = "The body", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 422, description = "unreadable_body")))]
#[get("/events/{id}/body")]
async fn download_body(
    caller: Guarded<EventsRead>,
    Path((id,)): Path<(EventId,)>,
    Query(Form { decoded }): Query<Form>,
) -> ApiResult<HttpResponse> {
    let content = content(&caller, id).await?;
    let stored = |name| headers::find(&content.headers, name);
    let content_type = stored("content-type").map(<[u8]>::to_vec);
    if decoded == Some(true) {
        let decoded = read(&caller, &content, |body| {
            body.decoded().cloned().map_err(Clone::clone)
        })
        .await?;
        let unreadable = |error: hookgate_model::body::BodyError| {
            ApiError::new(ErrorCode::UnreadableBody, error.to_string())
        };
        let decoded = decoded.map_err(unreadable)?;
        return Ok(download(decoded, content_type.as_deref(), &id.to_string()));
    }
    let encoding = stored("content-encoding").and_then(|value| HeaderValue::from_bytes(value).ok());
    let mut response = download(content.body.clone(), content_type.as_deref(), &id.to_string());
    if let Some(encoding) = encoding {
        response.headers_mut().insert(SENT_ENCODING, encoding);
    }
    Ok(response)
}

/// List the files of an event
///
/// The files of multipart form data, or a binary body as the one file that it is. There are none in a body that cannot be
/// read.
#[utoipa::path(tag = "events", operation_id = "listEventFiles", security(("bearer" = ["events:read"])),
    responses((status = 200, description = "The files, in the order in which they came", body = FileList)))]
#[get("/events/{id}/files")]
async fn list_files(
    caller: Guarded<EventsRead>,
    Path((id,)): Path<(EventId,)>,
) -> ApiResult<Reply<FileList>> {
    let content = content(&caller, id).await?;
    let view = |body: &Body| {
        let files = body.files().iter().enumerate();
        files
            .map(|(index, file)| FileView::new(index, file, body))
            .collect()
    };
    let data = read(&caller, &content, view).await?;
    Ok(Reply::ok(FileList { data }))
}

/// Download a file of an event
///
/// Its content, with the content type that the sender gave.
#[utoipa::path(tag = "events", operation_id = "getEventFile", security(("bearer" = ["events:read"])),
    params(("file" = String, Path, description = "Its index, or the name of its field; of several files of one field the first",
        example = "0")),
    responses((status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream")))]
#[get("/events/{id}/files/{file}")]
async fn download_file(
    caller: Guarded<EventsRead>,
    Path((id, wanted)): Path<(EventId, String)>,
) -> ApiResult<HttpResponse> {
    let content = content(&caller, id).await?;
    let find = move |body: &Body| {
        let file = find(body.files(), &wanted)?;
        Some((body.content_of(file), file.clone()))
    };
    let found = read(&caller, &content, find).await?;
    let (bytes, file) = found.ok_or_else(ApiError::not_found)?;
    let name = file.filename.as_deref().unwrap_or(&file.name);
    Ok(download(
        bytes,
        file.content_type.as_deref().map(str::as_bytes),
        name,
    ))
}

fn find<'a>(files: &'a [File], wanted: &str) -> Option<&'a File> {
    let index = wanted.parse::<usize>().ok();
    let by_index = index.and_then(|index| files.get(index));
    by_index.or_else(|| files.iter().find(|file| file.name == wanted))
}

async fn content(caller: &Guarded<EventsRead>, id: EventId) -> ApiResult<EventContent> {
    caller
        .run(move |conn, scope| events::content(conn, scope, id))
        .await
}

/// Makes something of a body, on a thread of its own.
async fn read<T: Send + 'static>(
    caller: &Guarded<EventsRead>,
    content: &EventContent,
    make: impl FnOnce(&Body) -> T + Send + 'static,
) -> ApiResult<T> {
    let memory = most_memory(&content.headers, content.body.len());
    let body = Body::new(&content.headers, content.body.clone());
    let made = caller.state().apart.run(memory, move || make(&body)).await;
    made.ok_or_else(|| ApiError::internal("a body was not read"))
}

fn download(bytes: Bytes, content_type: Option<&[u8]>, name: &str) -> HttpResponse {
    let content_type = content_type
        .filter(|value| !value.is_empty())
        .and_then(|value| HeaderValue::from_bytes(value).ok())
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header(attachment(name))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .body(bytes)
}

/// A name that leads nowhere else: its last part, without what file systems or people read otherwise than it is written.
fn attachment(name: &str) -> ContentDisposition {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    // Such as the signs that make `exe.txt` of `txt.exe`.
    let is_harmless = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '"' | ':' | '*' | '?' | '<' | '>' | '|')
    };
    let safe: String = last.chars().filter(is_harmless).take(NAME_CHARACTERS).collect();
    let safe = match safe.trim().trim_start_matches('.') {
        "" => "file",
        safe => safe,
    };
    let ascii: String = safe.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let mut parameters = vec![DispositionParam::Filename(ascii)];
    if !safe.is_ascii() {
        parameters.push(DispositionParam::FilenameExt(ExtendedValue {
            charset: Charset::Ext("UTF-8".to_owned()),
            language_tag: None,
            value: safe.as_bytes().to_vec(),
        }));
    }
    ContentDisposition {
        disposition: DispositionType::Attachment,
        parameters,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_saved_under_a_harmless_name() {
        for (name, expected) in [
            ("a b.txt", "attachment; filename=\"a b.txt\""),
            ("/etc/passwd", "attachment; filename=\"passwd\""),
            ("..\\..\\evil.exe", "attachment; filename=\"evil.exe\""),
            ("..", "attachment; filename=\"file\""),
            (".htaccess", "attachment; filename=\"htaccess\""),
            ("", "attachment; filename=\"file\""),
            (
                "a\"; x=\"\r\nset-cookie: a",
                "attachment; filename=\"a; x=set-cookie a\"",
            ),
            ("fdp.\u{202e}txt.exe", "attachment; filename=\"fdp.txt.exe\""),
            (
                "naïve.txt",
                "attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt",
            ),
        ] {
            assert_eq!(attachment(name).to_string(), expected, "{name}");
        }
        assert!(attachment(&"x".repeat(10_000)).to_string().len() < 200);
    }
}
