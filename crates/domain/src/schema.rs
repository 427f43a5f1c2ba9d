//! The tables as diesel sees them; the migrations are the truth.

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        name -> Text,
        password_hash -> Text,
        created_at -> Timestamptz,
        email_verified_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    tenants (id) {
        id -> Uuid,
        name -> Text,
        status -> Text,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        limits -> Jsonb,
        delete_at -> Nullable<Timestamptz>,
        suspended_at -> Nullable<Timestamptz>,
        suspension_reason -> Text,
        plan_id -> Nullable<Uuid>,
        retention_days -> Nullable<Integer>,
    }
}

diesel::table! {
    plans (id) {
        id -> Uuid,
        name -> Text,
        limits -> Jsonb,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    memberships (tenant_id, user_id) {
        tenant_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        created_at -> Timestamptz,
        version -> Int8,
    }
}

diesel::table! {
    invitations (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        email -> Text,
        role -> Text,
        digest -> Bytea,
        invited_by -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        is_mailed -> Bool,
    }
}

diesel::table! {
    login_sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        tenant_id -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        network -> Nullable<Cidr>,
        user_agent -> Nullable<Text>,
        last_used_at -> Timestamptz,
    }
}

diesel::table! {
    refresh_tokens (digest) {
        digest -> Bytea,
        session_id -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    signing_keys (kid) {
        kid -> Text,
        private_key -> Bytea,
        public_key -> Bytea,
        created_at -> Timestamptz,
        retired_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    mailed_tokens (digest) {
        digest -> Bytea,
        user_id -> Uuid,
        purpose -> Text,
        email -> Text,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    totp_secrets (user_id) {
        user_id -> Uuid,
        secret -> Bytea,
        created_at -> Timestamptz,
        confirmed_at -> Nullable<Timestamptz>,
        last_step -> Int8,
    }
}

diesel::table! {
    recovery_codes (user_id, digest) {
        user_id -> Uuid,
        digest -> Bytea,
    }
}

diesel::table! {
    mails (id) {
        id -> Uuid,
        recipient -> Text,
        letter -> Bytea,
        attempts -> Int4,
        due_at -> Timestamptz,
    }
}

diesel::table! {
    management_keys (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        digest -> Bytea,
        hint -> Text,
        scopes -> Array<Text>,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    idempotency_keys (tenant_id, actor, key) {
        tenant_id -> Uuid,
        actor -> Text,
        key -> Text,
        request_digest -> Bytea,
        created_at -> Timestamptz,
        answer_status -> Nullable<Int2>,
        answer -> Nullable<Bytea>,
    }
}

diesel::table! {
    webhooks (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        system -> Text,
        status -> Text,
        suffix -> Text,
        methods -> Array<Text>,
        authentication -> Jsonb,
        body_limit_bytes -> Int4,
        cors -> Nullable<Jsonb>,
        malformed_bodies -> Text,
        data_protection -> Jsonb,
        deduplication -> Nullable<Jsonb>,
        handshake -> Nullable<Jsonb>,
        draft_revision_id -> Uuid,
        published_revision_id -> Nullable<Uuid>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        limits -> Jsonb,
    }
}

diesel::table! {
    pairings (tenant_id, webhook_id) {
        tenant_id -> Uuid,
        webhook_id -> Uuid,
        sender -> Text,
        opened_at -> Timestamptz,
        expires_at -> Timestamptz,
        completed_at -> Nullable<Timestamptz>,
        secret_id -> Nullable<Uuid>,
        revealed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    revisions (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        webhook_id -> Uuid,
        number -> Int4,
        document -> Json,
        created_at -> Timestamptz,
        created_by -> Text,
        published_at -> Nullable<Timestamptz>,
        has_work -> Bool,
    }
}

diesel::table! {
    urls (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        webhook_id -> Uuid,
        name -> Text,
        environment -> Text,
        suffix -> Text,
        version -> Int8,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        limits -> Jsonb,
    }
}

diesel::table! {
    url_tokens (token) {
        token -> Uuid,
        tenant_id -> Uuid,
        url_id -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    api_keys (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        webhook_id -> Uuid,
        name -> Text,
        digest -> Bytea,
        hint -> Text,
        version -> Int8,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    allowlists (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    allowlist_entries (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        allowlist_id -> Uuid,
        network -> Cidr,
        note -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    webhook_allowlists (tenant_id, webhook_id, allowlist_id) {
        tenant_id -> Uuid,
        webhook_id -> Uuid,
        allowlist_id -> Uuid,
    }
}

diesel::table! {
    destinations (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        base_url -> Text,
        signing_secret -> Nullable<Bytea>,
        authentication -> Jsonb,
        client_certificate -> Nullable<Jsonb>,
        public_key -> Nullable<Text>,
        previous_signing_secret -> Nullable<Bytea>,
        previous_secret_expires_at -> Nullable<Timestamptz>,
        calls_per_second -> Nullable<Int4>,
        calls_at_once -> Nullable<Int4>,
        pauses_on_gone -> Bool,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    destination_pauses (tenant_id, destination_id) {
        tenant_id -> Uuid,
        destination_id -> Uuid,
        paused_at -> Timestamptz,
        reason -> Text,
    }
}

diesel::table! {
    failed_callbacks (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        webhook_id -> Uuid,
        revision_id -> Uuid,
        event_id -> Uuid,
        state -> Bytea,
        failed_at -> Timestamptz,
        destination_id -> Nullable<Uuid>,
        step -> Nullable<Text>,
        attempt_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    notification_settings (tenant_id) {
        tenant_id -> Uuid,
        destination_id -> Uuid,
        kinds -> Array<Text>,
        window_started_at -> Timestamptz,
        sent -> Int4,
        suppressed -> Int8,
        version -> Int8,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    secrets (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        value -> Bytea,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        value_changed_at -> Timestamptz,
    }
}

diesel::table! {
    jobs (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        webhook_id -> Uuid,
        revision_id -> Uuid,
        event_ids -> Array<Uuid>,
        due_at -> Timestamptz,
        leased_until -> Nullable<Timestamptz>,
        lease_token -> Int8,
        attempt -> Int4,
        is_retry -> Bool,
        answer_to -> Nullable<Text>,
        state -> Nullable<Bytea>,
        payload -> Nullable<Bytea>,
        is_held -> Bool,
    }
}

diesel::table! {
    events (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        webhook_id -> Uuid,
        url_id -> Uuid,
        revision_id -> Nullable<Uuid>,
        environment -> Text,
        method -> Text,
        suffix -> Text,
        path -> Text,
        query -> Text,
        address -> Nullable<Inet>,
        headers -> Bytea,
        body_codec -> Int2,
        body_bytes -> Int4,
        body -> Bytea,
        masked -> Nullable<Jsonb>,
        event_type -> Nullable<Text>,
        delivery_id -> Nullable<Text>,
        deduplication -> Nullable<Text>,
        refusal_id -> Nullable<Uuid>,
        replay_of -> Nullable<Uuid>,
        replay_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    captures (tenant_id, webhook_id) {
        tenant_id -> Uuid,
        webhook_id -> Uuid,
        url_id -> Nullable<Uuid>,
        opened_at -> Timestamptz,
        expires_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        ended_by -> Nullable<Text>,
        taken -> Int8,
        taken_before -> Int8,
        most -> Int4,
        most_samples -> Int4,
        most_bytes -> Int8,
    }
}

diesel::table! {
    deduplication_keys (tenant_id, digest) {
        tenant_id -> Uuid,
        digest -> Bytea,
        event_id -> Uuid,
        expires_at -> Timestamptz,
        answer -> Nullable<Bytea>,
    }
}

diesel::table! {
    drift (tenant_id, webhook_id, place, path, code) {
        tenant_id -> Uuid,
        webhook_id -> Uuid,
        place -> Text,
        path -> Text,
        code -> Text,
        msg -> Text,
        count -> Int8,
        first_at -> Timestamptz,
        last_at -> Timestamptz,
        first_event -> Uuid,
        last_event -> Uuid,
    }
}

diesel::table! {
    duplicates (tenant_id, event_id) {
        tenant_id -> Uuid,
        event_id -> Uuid,
        count -> Int8,
        last_at -> Timestamptz,
    }
}

diesel::table! {
    replays (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        filter -> Jsonb,
        revision -> Text,
        events_per_second -> Int4,
        status -> Text,
        matched -> Int8,
        replayed -> Int8,
        skipped -> Int8,
        after -> Uuid,
        before -> Uuid,
        due_at -> Timestamptz,
        created_by -> Text,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    refusals (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        webhook_id -> Uuid,
        url_id -> Uuid,
        reason -> Text,
        detail -> Text,
        status -> Int2,
        method -> Text,
        path -> Text,
        query -> Text,
        address -> Nullable<Inet>,
        headers -> Bytea,
        body_bytes -> Nullable<Int4>,
        body_preview -> Bytea,
        masked -> Nullable<Jsonb>,
        request -> Nullable<Bytea>,
        event_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    runs (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        webhook_id -> Uuid,
        revision_id -> Uuid,
        outcome -> Text,
        error -> Nullable<Text>,
        started_at -> Timestamptz,
        finished_at -> Timestamptz,
        steps -> Bytea,
        answer -> Nullable<Bytea>,
        state -> Nullable<Bytea>,
    }
}

diesel::table! {
    attempts (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        run_id -> Uuid,
        webhook_id -> Uuid,
        destination_id -> Uuid,
        step -> Text,
        number -> Int4,
        method -> Text,
        url -> Text,
        outcome -> Text,
        status -> Nullable<Int2>,
        error -> Nullable<Text>,
        started_at -> Timestamptz,
        duration_us -> Int8,
        timing -> Jsonb,
        response_preview -> Nullable<Bytea>,
    }
}

diesel::table! {
    sessions (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        webhook_id -> Uuid,
        key -> Text,
        state -> Json,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    collections (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        schema -> Nullable<Json>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    public_api_links (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        digest -> Bytea,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    audit_log (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        actor -> Nullable<Text>,
        address -> Nullable<Inet>,
        trace_id -> Nullable<Text>,
        action -> Text,
        object_kind -> Text,
        object_id -> Uuid,
        before -> Nullable<Jsonb>,
        after -> Nullable<Jsonb>,
    }
}

diesel::table! {
    operators_audit_log (id) {
        id -> Uuid,
        actor -> Nullable<Text>,
        address -> Nullable<Inet>,
        trace_id -> Nullable<Text>,
        action -> Text,
        object_kind -> Text,
        object_id -> Uuid,
        before -> Nullable<Jsonb>,
        after -> Nullable<Jsonb>,
    }
}

diesel::table! {
    records (tenant_id, collection_id, id) {
        tenant_id -> Uuid,
        collection_id -> Uuid,
        id -> Uuid,
        key -> Text,
        data -> Jsonb,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    samples (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        webhook_id -> Uuid,
        source -> Text,
        url_id -> Nullable<Uuid>,
        event_id -> Nullable<Uuid>,
        number -> Nullable<Int8>,
        environment -> Text,
        method -> Text,
        suffix -> Text,
        path -> Text,
        query -> Text,
        address -> Nullable<Inet>,
        headers -> Bytea,
        body_codec -> Int2,
        body_bytes -> Int4,
        body -> Bytea,
        masked -> Nullable<Jsonb>,
        stored_bytes -> Int4,
    }
}

diesel::joinable!(memberships -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(
    allowlist_entries,
    allowlists,
    api_keys,
    attempts,
    captures,
    collections,
    deduplication_keys,
    destination_pauses,
    destinations,
    duplicates,
    events,
    failed_callbacks,
    idempotency_keys,
    invitations,
    jobs,
    login_sessions,
    management_keys,
    memberships,
    notification_settings,
    pairings,
    plans,
    records,
    refresh_tokens,
    refusals,
    revisions,
    runs,
    samples,
    signing_keys,
    tenants,
    url_tokens,
    urls,
    users,
    webhook_allowlists,
    webhooks,
);
