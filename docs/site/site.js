// A keyboard reaches what scrolls sideways: tables and code.
for (const part of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code")) {
  if (part.scrollWidth > part.clientWidth) part.tabIndex = 0;
}
