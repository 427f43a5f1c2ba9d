DROP TABLE public_api_links;
