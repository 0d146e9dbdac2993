/** A page of Markdown without its blocks of code. */
export function withoutCode(page: string): string {
  return page.replace(/^```.*?^```$/gms, "");
}

/** The anchors of its headings, as GitHub makes them. */
export function headingsOf(page: string): string[] {
  return Array.from(withoutCode(page).matchAll(/^#+ (.+)$/gm), ([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w -]/g, "")
      .replaceAll(" ", "-"),
  );
}
