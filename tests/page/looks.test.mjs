// Every page: it loads, it can be read by everybody, and it fits.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { before, test } from 'node:test';
import { done, open, withBrowser } from './browser.mjs';
import { pages } from './pages.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PROOF = 'the proof of a lead';
let all;

withBrowser();
before(async () => {
  all = await pages();
});

async function go(page, path) {
  if (path !== PROOF) return page.goto(path);
  await page.goto('/leads?flow=marketplace-leads');
  await page.locator('main form[action="/leads/proof"] button').first().click();
  return page.waitForURL('**/leads/proof');
}

/** What axe finds, in a line each. */
async function findings(page, path) {
  await page.evaluate(AXE);
  // A frame without a right runs no script, so that axe cannot look into it.
  const found = await page.evaluate(() =>
    globalThis.axe.run(document, { iframes: false, resultTypes: ['violations'] }),
  );
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${path}: ${id}: ${node.target} ${node.failureSummary}`),
  );
}

async function seesAll(person, expected, statuses) {
  const page = await open(person, {}, statuses);
  for (const it of all) {
    const response = await page.goto(it.path);
    const wanted = expected(it);
    if (wanted === 'in') {
      assert.equal(new URL(page.url()).pathname, '/sign-in', it.path);
      assert.equal(new URL(page.url()).searchParams.get('next'), it.path);
    } else {
      assert.equal(response.status(), wanted, it.path);
    }
    assert.equal(await page.locator('h1').count(), 1, it.path);
    assert.match(await page.title(), /.+ · leadflow$/, it.path);
  }
  await done(page);
}

test("a guest sees what is nobody's personal data, and is led to the sign-in for the rest", () =>
  seesAll(undefined, (it) => it.guest, [404]));

test('the role view sees every page but the questions before an action', () =>
  seesAll('ben', (it) => it.view, [403, 404]));

test('the role operate sees every page', () => seesAll('anna', (it) => (it.guest === 404 ? 404 : 200), [404]));

for (const [colorScheme, locale] of [
  ['light', 'en-GB'],
  ['dark', 'en-GB'],
  ['light', 'ko-KR'],
  ['dark', 'ko-KR'],
]) {
  test(`axe finds nothing on any page: ${colorScheme}, ${locale}`, async () => {
    const page = await open('anna', { colorScheme, locale }, [404]);
    const found = [];
    for (const path of [...all.map((it) => it.path), PROOF]) {
      await go(page, path);
      assert.equal(await page.locator('html').getAttribute('lang'), locale.slice(0, 2));
      found.push(...(await findings(page, path)));
    }
    assert.deepEqual(found, []);
    await done(page);
  });
}

for (const [width, locale] of [
  [360, 'en-GB'],
  [360, 'ko-KR'],
  [1440, 'en-GB'],
]) {
  test(`no page is wider than the window: ${width} pixels, ${locale}`, async () => {
    const page = await open('anna', { viewport: { width, height: 800 }, locale }, [404]);
    for (const path of [...all.map((it) => it.path), PROOF]) {
      await go(page, path);
      await page.evaluate(() =>
        document.querySelectorAll('details').forEach((it) => {
          it.open = true;
        }),
      );
      const widest = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(widest <= width, `${path} is ${widest} pixels wide`);
    }
    await done(page);
  });
}

test('the keyboard reaches the content first, then the sections, and sees where it is', async () => {
  const page = await open('anna');
  await page.goto('/');
  await page.keyboard.press('Tab');
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  assert.equal(await focused(), 'Skip to the content');
  assert.ok((await page.locator('.skip').boundingBox()).x >= 0, 'it is seen once it has the focus');
  const order = [];
  for (let at = 0; at < 8; at += 1) {
    await page.keyboard.press('Tab');
    order.push(await focused());
  }
  assert.deepEqual(order, ['leadflow', 'Flows', 'Runs', 'Outbox', 'Leads', 'Health', 'Check', 'Sign out']);
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, 'solid');
  await page.goto('/');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'content');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.closest('main') !== null), true);
  await done(page);
});
