//! What reading a body, learning its structure and checking it takes, by itself.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookgate_domain::clock;
use hookgate_model::expected_data::{Matcher, infer};
use hookgate_model::flow::variables::{EventInput, Request};
use hookgate_model::webhook::Environment;
use serde::Serialize;

/// How long each is measured.
const TIME: Duration = Duration::from_millis(500);

/// Microseconds of one body.
#[derive(Debug, Serialize)]
pub struct Learning {
    /// Of reading it.
    pub reading: f64,
    /// Of learning from it, once it is read.
    pub inference: f64,
    /// Of checking it, once it is read.
    pub validation: f64,
    /// How many fields were learnt.
    pub fields: usize,
}

/// A request with a body of JSON, as the load generator sends it.
pub fn request(body: &[u8]) -> Arc<Request> {
    Request::new(EventInput {
        id: clock::new_id(),
        received_at: clock::now(),
        method: "POST".to_owned(),
        address: None,
        environment: Environment::Production,
        suffix: "orders".to_owned(),
        path: "orders".to_owned(),
        query: String::new(),
        headers: b"content-type: application/json\r\n".to_vec(),
        body: body.to_vec().into(),
        event_type: None,
        delivery_id: None,
    })
}

/// Measures one body.
pub fn measure(body: &[u8]) -> Learning {
    let read = request(body);
    let samples = [Arc::clone(&read)];
    let expected = infer(&samples);
    let matcher = Matcher::compile(&expected);
    let with_reading = micros(|| {
        let request = request(body);
        black_box(request.body().document());
    });
    let without_reading = micros(|| {
        black_box(request(body));
    });
    Learning {
        reading: with_reading - without_reading,
        inference: micros(|| {
            black_box(infer(black_box(&samples)));
        }),
        validation: micros(|| {
            black_box(matcher.check(black_box(&read)));
        }),
        fields: expected.fields().count(),
    }
}

fn micros(mut work: impl FnMut()) -> f64 {
    let (began, mut times) = (Instant::now(), 0_u32);
    while began.elapsed() < TIME {
        for _ in 0..10 {
            work();
        }
        times += 10;
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}
