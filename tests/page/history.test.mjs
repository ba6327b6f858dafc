// 20,000 runs: filters and pages say the truth.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { done, open, withBrowser } from './browser.mjs';

withBrowser();

/** The rows of the table of runs: number, flow, started, outcome. */
async function rows(page) {
  const cells = await page
    .locator('main tbody tr')
    .evaluateAll((all) => all.map((row) => [...row.cells].map((it) => it.innerText.trim())));
  return cells.map(([run, flow, started, outcome]) => ({ run: Number(run), flow, started, outcome }));
}

const show = (page) => Promise.all([page.waitForNavigation(), page.getByRole('button', { name: 'Show' }).click()]);

test('the newest runs come first, and older ones follow without a gap, to the very first', async () => {
  const page = await open('ben');
  await page.goto('/runs');
  const first = (await rows(page)).map((it) => it.run);
  assert.equal(first.length, 50);
  assert.deepEqual(
    first,
    [...first].sort((a, b) => b - a),
  );
  await page.getByRole('link', { name: 'Older runs' }).click();
  const second = (await rows(page)).map((it) => it.run);
  assert.equal(second[0], first[49] - 1);
  await page.getByRole('link', { name: 'Newest runs' }).click();
  assert.equal(new URL(page.url()).search, '');
  await page.goto('/runs?before=40');
  const last = (await rows(page)).map((it) => it.run);
  assert.deepEqual(
    last,
    Array.from({ length: 39 }, (_, at) => 39 - at),
  );
  assert.equal(await page.getByRole('link', { name: 'Older runs' }).count(), 0);
  await done(page);
});

test('the filters of flow and outcome hold on every page', async () => {
  const page = await open('ben');
  await page.goto('/runs');
  await page.getByLabel('Flow').selectOption('trials');
  await page.getByLabel('Outcome').selectOption('sent');
  await show(page);
  const seen = new Set();
  for (let at = 0; at < 3; at += 1) {
    const found = await rows(page);
    assert.equal(found.length, 50);
    found.forEach((it) => {
      assert.deepEqual([it.flow, it.outcome], ['trials', 'sent']);
      seen.add(it.run);
    });
    assert.equal(await page.getByLabel('Flow').inputValue(), 'trials');
    assert.equal(await page.getByLabel('Outcome').inputValue(), 'sent');
    await page.getByRole('link', { name: 'Older runs' }).click();
  }
  assert.equal(seen.size, 150);
  await done(page);
});

test('the filters of days take the days of the zone', async () => {
  const page = await open('ben');
  const day = (ago) => new Date(Date.now() + 9 * 3_600_000 - ago * 86_400_000).toISOString().slice(0, 10);
  await page.goto('/runs');
  await page.getByLabel('From').fill(day(41));
  await page.getByLabel('Before').fill(day(40));
  await show(page);
  let [count, more] = [0, true];
  while (more) {
    const found = await rows(page);
    found.forEach((it) => assert.equal(it.started.slice(0, 10), day(41)));
    count += found.length;
    const older = page.getByRole('link', { name: 'Older runs' });
    more = (await older.count()) > 0;
    if (more) await older.click();
  }
  assert.ok(count >= 224 && count <= 226, `20,000 runs in 89 days: ${count}`);
  await done(page);
});

test('the history of a flow is its own, and its charts have their numbers', async () => {
  const page = await open();
  await page.goto('/flows/renewals?outcome=failed');
  const outcomes = await page.locator('main .scroll tbody tr td:nth-child(3)').allInnerTexts();
  assert.ok(outcomes.length > 0 && outcomes.every((it) => it === 'failed'));
  const chart = page.locator('figure', { hasText: 'Mailed rows' });
  const label = await chart.getByRole('img').getAttribute('aria-label');
  const total = Number(label.match(/in all (\d+)/)[1]);
  await chart.locator('summary').click();
  const numbers = await chart.locator('tbody .number').allInnerTexts();
  assert.equal(numbers.length, 30);
  assert.equal(
    numbers.reduce((sum, it) => sum + Number(it), 0),
    total,
  );
  await done(page);
});

test('a run shows its steps, with what went in and what came out', async () => {
  const page = await open();
  await page.goto('/flows/marketplace-leads?outcome=sent');
  await page.locator('main .scroll tbody a').first().click();
  const steps = page.locator('ol.steps details');
  const names = (await steps.locator('summary').allInnerTexts()).map((it) => it.replace(/ [<\d].*/, ''));
  assert.deepEqual(names, ['window', 'query', 'new rows', 'condition', 'render', 'commit']);
  await steps.nth(1).locator('summary').click();
  assert.match(await steps.nth(1).innerText(), /Inputs[^]*filter\s+Timestamp gt datetime'20[^]*Outputs[^]*rows\s+\d/);
  await done(page);
});

test('a run that failed before its first step says why, and shows no empty list', async () => {
  const page = await open('anna');
  await page.goto('/flows/renewals?outcome=failed');
  await page.locator('main .scroll tbody a').first().click();
  assert.match(await page.locator('.lead').innerText(), /failed there is no table renewals/);
  assert.equal(await page.locator('ol.steps, a[href$="/resubmit"]').count(), 0);
  await done(page);
});
