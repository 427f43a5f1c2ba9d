-- Whether an event of a revision has a flow to run or a caller to answer: the same rule as `RevisionDocument::is_idle`, so that
-- nobody reads whole documents to know it.
ALTER TABLE revisions ADD COLUMN has_work boolean NOT NULL GENERATED ALWAYS AS (
  document #> '{flow,steps,0}' IS NOT NULL OR coalesce(document #>> '{response,mode}', 'immediate') <> 'immediate'
) STORED;
