// tests/web/whole_test.ts - what this proves: the page of a real kairo shows a tuning from its first
// step to its end, through the death of `kairo web`, under the real server's headers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium } from "playwright-core";

const [address, browserPath, webPid] = [process.env["KAIRO_PAGE_ADDRESS"]!, process.env["KAIRO_CHROMIUM"]!, Number(process.env["KAIRO_WEB_PID"])];

test("a tuning, seen in a browser", { timeout: 240_000 }, async () => {
  const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const said: string[] = [];
    page.on("console", (m) => said.push(m.text()));
    page.on("pageerror", (e) => said.push(e.message));
    const reply = await page.goto(address);
    assert.match(reply!.headers()["content-security-policy"]!, /default-src 'none'.*trusted-types 'none'/);
    await page.locator("table.list").getByText("seen", { exact: true }).click();
    await page.waitForSelector("canvas", { timeout: 120_000 });
    await page.waitForFunction(() => /^step \d+: loss [\d.]+/.test(document.querySelector("figcaption")?.textContent ?? ""));
    assert.deepEqual(said, [], "console lines");
    process.kill(webPid, "SIGKILL");
    await page.getByText(/Not live: this page cannot reach kairo web/).waitFor({ timeout: 20_000 });
    await page.getByText(/Not live/).waitFor({ state: "detached", timeout: 60_000 });
    await page.locator(".badge", { hasText: "Succeeded" }).waitFor({ timeout: 180_000 });
    await page.waitForFunction(() => document.querySelector("figcaption")?.textContent?.startsWith("step 60:"), null, { timeout: 30_000 });
    await page.getByText("As a table").click();
    const rows = await page.locator("figure tbody th").allInnerTexts();
    assert.deepEqual([rows[0], rows.at(-1)], ["1", "60"]);
    await page.getByText(/sha256:[0-9a-f]{64}/).waitFor();
    await page.getByRole("button", { name: "show" }).click();
    await page.getByText(/kairo-tune: data rows=/).waitFor();
  } finally {
    await browser.close();
  }
});
