// What a screen reader and the keyboard need, and the theme leaves out.
const isKorean = document.documentElement.lang === "ko";

function nameParts() {
  document.querySelector(".md-search")?.setAttribute("aria-label", isKorean ? "검색" : "Search");
  document.querySelectorAll(".md-code__nav").forEach((part, number) => {
    part.setAttribute("aria-label", `${isKorean ? "코드" : "Code"} ${number + 1}`);
  });
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((table) => {
    if (table.scrollWidth > table.clientWidth) table.tabIndex = 0; // scrolled by the arrow keys
  });
  document.querySelectorAll(".md-nav .md-nav[aria-labelledby]").forEach((part, number) => {
    const label = document.getElementById(part.getAttribute("aria-labelledby"));
    part.setAttribute("aria-label", `${label?.textContent.trim() ?? ""} ${number + 1}`);
    part.removeAttribute("aria-labelledby");
  });
}

nameParts();
// The theme adds buttons to blocks of code later.
new MutationObserver(nameParts).observe(document.body, { childList: true, subtree: true });
