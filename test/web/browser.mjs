// A browser at the page of the first boot, and what every page of it must keep to.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import {createRequire} from 'node:module';
import {chromium} from 'playwright-core';

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
export const PHONE = {viewport: {width: 360, height: 740}, isMobile: true, hasTouch: true};
export const DESKTOP = {viewport: {width: 1280, height: 800}};

export async function launch(given) {
  // As root Chromium has no sandbox of its own; it sees nothing but our node.
  return chromium.launch({executablePath: given.browser, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']});
}

// A person with a browser of their own: `page` is Playwright's.
export class Person {
  static async at(given, browser, options = {}) {
    const person = new Person();
    person.given = given;
    person.scripted = options.javaScriptEnabled !== false;
    person.context = await browser.newContext(options);
    person.page = await person.context.newPage();
    person.page.setDefaultTimeout(60000) /* on a busy machine everything takes its time */;
    person.foreign = [];
    person.page.on('request', request => {
      if (!request.url().startsWith(given.url)) person.foreign.push(request.url());
    });
    person.complaints = [];
    person.page.on('console', message => { if (message.type() === 'error') person.complaints.push(message.text()); });
    person.page.on('pageerror', error => person.complaints.push(String(error)));
    return person;
  }

  code() {
    return /Code: (\S+)/.exec(fs.readFileSync(this.given.console, 'utf8'))[1];
  }

  async open(where = '/') { await this.page.goto(this.given.url + where); }

  async enter() {
    await this.open('/?code=' + this.code());
    await this.press('Begin');
    await this.sees('Welcome');
  }

  async press(name) { await this.page.getByRole('button', {name, exact: true}).click(); }
  async follow(name) { await this.page.getByRole('link', {name, exact: true}).first().click(); }
  async sees(heading) { await this.page.getByRole('heading', {level: 1, name: heading}).waitFor(); }
  async fill(label, text) { await this.page.getByLabel(label, {exact: true}).fill(text); }

  // Presses Tab until the element of that name, id or text has the focus, which must be seen.
  async reach(name) {
    for (let presses = 0; presses < 60; presses++) {
      await this.page.keyboard.press('Tab');
      const found = await this.page.evaluate(wanted => {
        const {id, name: field, textContent} = document.activeElement;
        return [id, field, textContent].includes(wanted) && getComputedStyle(document.activeElement).outlineStyle;
      }, name);
      if (found) {
        assert.notEqual(found, 'none', `nobody sees that ${name} has the focus`);
        return;
      }
    }
    assert.fail(`${name} is not reached by Tab`);
  }

  // What every page keeps to: no violation, no sideways scrolling, nothing from elsewhere, no complaint of the browser.
  async check(name) {
    const page = this.page;
    fs.mkdirSync(this.given.screens, {recursive: true});
    await page.screenshot({path: path.join(this.given.screens, name + '.png'), fullPage: true});
    if (this.scripted) {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(wide, 0, `${name} is ${wide} pixels wider than the screen`);
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({colorScheme});
        // Past the page's own rules for scripts: axe is ours. In the dark only colours differ.
        await page.evaluate(axe);
        const only = colorScheme === 'dark' ? {runOnly: ['color-contrast']} : {};
        const found = await page.evaluate(options => globalThis.axe.run(document, {resultTypes: ['violations'], ...options}), only);
        const text = found.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.map(n => n.target.join(' ')).join(', ')}`).join('\n');
        assert.equal(text, '', `${name} (${colorScheme}):\n${text}`);
      }
      await page.emulateMedia({colorScheme: 'light'});
    }
    assert.deepEqual(this.foreign, [], `${name} asks elsewhere`);
    assert.deepEqual(this.complaints, [], name);
  }

  async answerNetwork() {
    await this.page.getByLabel('Automatic (DHCP) on every cable').check();
    await this.press('Continue');
  }

  async answerSystem(more = {}) {
    await this.fill('Name of the node', 'edge-7');
    await this.fill('Time zone', 'Europe/Berlin');
    await this.fill('Keyboard', 'de');
    await this.fill('Language of programs', 'en_US.UTF-8');
    await this.fill('Password of the user macula', more.password ?? 'correct horse');
    await this.press('Continue');
  }

  async close() { await this.context.close(); }
}
