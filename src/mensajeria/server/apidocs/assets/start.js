"use strict";
Redoc.init(
  "/openapi.json",
  { hideDownloadButtons: false, nativeScrollbars: true, sortTagsAlphabetically: true },
  document.getElementById("api"),
);
