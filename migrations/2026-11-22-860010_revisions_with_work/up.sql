-- Whether an event of a revision has a flow to run or a caller to answer: the same rule as `RevisionDocument::is_idle`, so that
-- nobody reads whole documents to know it. PostgreSQL looks into no document with an escaped NUL, so another character takes its place.
ALTER TABLE revisions ADD COLUMN has_work boolean NOT NULL GENERATED ALWAYS AS (
  replace(document::text, '\u0000', '\u0001')::json #> '{flow,steps,0}' IS NOT NULL
  OR coalesce(replace(document::text, '\u0000', '\u0001')::json #>> '{response,mode}', 'immediate') <> 'immediate'
) STORED;
