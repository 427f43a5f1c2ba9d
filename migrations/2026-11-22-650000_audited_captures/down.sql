DROP TRIGGER audit ON captures;
