// cases.mjs [NAME JSON]: one case at a node; without a name, their names.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import {DESKTOP, PHONE, Person, launch} from './browser.mjs';

// The program that started this one kills the service and says when it serves again.
async function restart() {
  console.log('restart');
  await new Promise(resolve => process.stdin.once('data', resolve));
  process.stdin.pause();
}

async function wholeWay(person, prefix) {
  await person.open('/');
  await person.sees('Set up this node');
  await person.check(prefix + '-1-enter');
  await person.enter();
  await person.check(prefix + '-2-welcome');
  await person.follow('Start');
  await person.sees('Network');
  await person.check(prefix + '-3-network');
  await person.answerNetwork();
  await person.sees('System');
  await person.check(prefix + '-4-system');
  await person.answerSystem();
  await person.sees('Mesh');
  await person.page.getByLabel('Gateway: relays traffic of nodes behind NAT').check();
  await person.check(prefix + '-5-mesh');
  await person.press('Continue');
  await person.sees('Portal');
  await person.check(prefix + '-6-portal');
}

async function finish(person, prefix) {
  await person.sees('Review');
  await person.check(prefix + '-8-review');
  await person.press('Finish');
  await person.sees('The node is configured');
  await person.check(prefix + '-9-done');
  assert.match(await person.page.textContent('main'), /edge-7\.local/);
  console.log('configured');
}

const cases = {
  // On a phone, with a code of the Portal.
  async phone(given, browser) {
    const person = await Person.at(given, browser, PHONE);
    await wholeWay(person, 'phone');
    await person.fill('Pairing code from the Portal', 'WRONG-22');
    await person.press('Pair');
    await person.page.getByText('does not know this pairing code').first().waitFor();
    await person.check('phone-7-refused');
    await person.fill('Pairing code from the Portal', 'GOOD-phone');
    await person.press('Pair');
    await person.page.getByText('belongs to Ada Lovelace').waitFor();
    await person.check('phone-7-paired');
    await person.follow('Continue');
    await finish(person, 'phone');
  },

  // On a desktop, authorised in the Portal.
  async desktop(given, browser) {
    const person = await Person.at(given, browser, DESKTOP);
    await wholeWay(person, 'desktop');
    await person.press('Show the QR code of the Portal');
    await person.page.getByText('belongs to Ada Lovelace').waitFor();
    await person.check('desktop-7-paired');
    await person.follow('Continue');
    await finish(person, 'desktop');
  },

  // Without JavaScript all of it works.
  async plain(given, browser) {
    const person = await Person.at(given, browser, {...PHONE, javaScriptEnabled: false});
    await wholeWay(person, 'plain');
    await person.follow('Go on without the Portal');
    await finish(person, 'plain');
  },

  // Mistakes are said where they are, and a screen reader is led there.
  async errors(given, browser) {
    const person = await Person.at(given, browser, PHONE);
    await person.enter();
    await person.open('/system');
    await person.fill('Name of the node', 'not a name');
    await person.fill('Time zone', 'Mars/Base');
    await person.press('Continue');
    const zone = person.page.getByLabel('Time zone', {exact: true});
    await person.page.locator('#timezone-error').waitFor();
    assert.equal(await zone.getAttribute('aria-invalid'), 'true');
    assert.match(await zone.getAttribute('aria-describedby'), /timezone-error/);
    const apart = await zone.evaluate(field => field.getBoundingClientRect().top -
      document.getElementById('timezone-error').getBoundingClientRect().bottom);
    assert.ok(apart >= 0 && apart < 20, `the error stands ${apart} pixels away from its field`);
    assert.equal(await person.page.evaluate(() => document.activeElement.getAttribute('aria-invalid')), 'true');
    await person.complaints.splice(0); // of the answer's status, 422
    await person.check('errors-system');
    await person.open('/network');
    await person.page.getByLabel('A fixed address on one cable').check();
    await person.page.getByLabel('Address and prefix length').fill('300.1.2.3/24');
    await person.press('Continue');
    await person.page.getByRole('alert').waitFor();
    await person.complaints.splice(0);
    await person.check('errors-network');
  },

  // By keyboard alone, to the end; what has the focus can be seen.
  async keyboard(given, browser) {
    const person = await Person.at(given, browser, DESKTOP);
    const {keyboard} = person.page;
    await person.open('/');
    await keyboard.press('Tab');
    assert.equal(await person.page.evaluate(() => document.activeElement.textContent), 'Skip to content');
    await keyboard.press('Enter');
    await keyboard.press('Tab');
    await keyboard.type(person.code().replace('-', '').toLowerCase());
    assert.match(await person.page.inputValue('#code'), /^[A-Z0-9]{3}-[A-Z0-9]{3}$/);
    await keyboard.press('Enter');
    await person.sees('Welcome');
    await person.reach('Start');
    await keyboard.press('Enter');
    await person.sees('Network');
    await person.reach('net_mode-dhcp');
    await keyboard.press('ArrowDown');
    assert.ok(await person.page.isVisible('#net_address'));
    await keyboard.press('ArrowUp');
    assert.ok(!await person.page.isVisible('#net_address'));
    await keyboard.press('Enter');
    await person.sees('System');
    for (const [name, text] of [['hostname', 'edge-7'], ['timezone', 'Europe/Berlin'], ['password', 'correct horse']]) {
      await person.reach(name);
      await keyboard.press('Control+A');
      await keyboard.type(text);
    }
    await person.reach('Continue');
    await keyboard.press('Enter');
    await person.sees('Mesh');
    await person.reach('role_gateway');
    await keyboard.press('Space');
    await person.reach('Continue');
    await keyboard.press('Enter');
    await person.sees('Portal');
    await person.reach('Go on without the Portal');
    await keyboard.press('Enter');
    await person.sees('Review');
    assert.match(await person.page.textContent('main'), /Europe\/Berlin/);
    await person.reach('Finish');
    await keyboard.press('Enter');
    await person.sees('The node is configured');
    console.log('configured');
  },

  // A half-finished set-up goes on where it was: after a reload, in another browser, after a restart of the service.
  async continuing(given, browser) {
    const first = await Person.at(given, browser, PHONE);
    await first.enter();
    await first.follow('Start');
    await first.answerNetwork();
    await first.answerSystem();
    await first.sees('Mesh');
    await first.page.reload();
    await first.sees('Mesh');
    await first.open('/');
    await first.follow('Go on with: Mesh');
    await first.sees('Mesh');
    const second = await Person.at(given, browser, DESKTOP);
    await second.enter();
    await second.follow('Go on with: Mesh');
    await second.fill('Realm', 'com.example.plant');
    await second.press('Continue');
    await second.sees('Portal');
    await restart();
    await second.enter();
    await second.check('continuing-1-after-a-restart');
    await second.open('/system');
    assert.equal(await second.page.getByLabel('Name of the node', {exact: true}).inputValue(), 'edge-7');
    assert.equal(await second.page.getByLabel('Password of the user macula', {exact: true}).inputValue(), '');
    await second.page.getByText('One is set.').waitFor();
    await first.open('/review');
    await first.sees('Set up this node') /* the restart closed every door */;
    await first.enter();
    await first.follow('Go on with: Review');
    assert.match(await first.page.textContent('main'), /com\.example\.plant/);
    await finish(first, 'continuing');
  },

  // Two browsers see the same answers, and do not overwrite each other.
  async two(given, browser) {
    const first = await Person.at(given, browser, PHONE);
    const second = await Person.at(given, browser, DESKTOP);
    await first.enter();
    await second.enter();
    await first.open('/mesh');
    await second.open('/mesh');
    await first.fill('Realm', 'com.example.first');
    await first.press('Continue');
    await first.sees('Portal');
    await second.fill('Realm', 'com.example.second');
    await second.press('Continue');
    await second.page.getByText('changed in another browser').waitFor();
    assert.equal(await second.page.getByLabel('Realm').inputValue(), 'com.example.first');
  },

  // A page of another origin, open in the same browser, changes nothing.
  async foreign(given, browser) {
    const person = await Person.at(given, browser, DESKTOP);
    await person.enter();
    await person.open('/network');
    await person.answerNetwork();
    await person.sees('System');
    const csrf = await person.page.inputValue('input[name=csrf]'); // even one who had guessed it
    const evil = http.createServer((request, response) => {
      response.setHeader('Content-Type', 'text/html');
      response.end(`<form method="post" action="${given.url}/mesh"><input name="csrf" value="${csrf}">
        <input name="revision" value="1"><input name="realm" value="com.evil"><button>Win a prize</button></form>
        <iframe src="${given.url}/"></iframe>`);
    });
    await new Promise(resolve => evil.listen(0, '127.0.0.2', resolve));
    const {page} = person;
    const framed = page.waitForEvent('console', message => /frame-ancestors|X-Frame-Options|Refused to frame|Framing/i.test(message.text()));
    await page.goto(`http://127.0.0.2:${evil.address().port}/`);
    await framed;
    // Its script reads nothing, and what it sends without asking to read comes without the session.
    const asked = await page.evaluate(async url => {
      try {
        return (await fetch(url + '/status', {credentials: 'include'})).status;
      } catch { return 'refused'; }
    }, given.url);
    assert.equal(asked, 'refused');
    await page.evaluate(([url, csrf]) => fetch(url + '/mesh', {method: 'POST', mode: 'no-cors', credentials: 'include',
      body: new URLSearchParams({csrf, revision: '1', realm: 'com.evil'})}).catch(() => 0), [given.url, csrf]);
    const [answer] = await Promise.all([page.waitForResponse(given.url + '/mesh'), page.getByRole('button').click()]);
    assert.equal(answer.status(), 403);
    evil.close();
    await person.open('/mesh');
    assert.equal(await page.getByLabel('Realm').inputValue(), 'io.macula');
  },

  // All that a browser fetches for the heaviest page is small.
  async weight(given, browser) {
    const person = await Person.at(given, browser, PHONE);
    const sizes = {};
    await person.enter();
    person.page.on('response', async response => {
      try { sizes[new URL(response.url()).pathname] = (await response.body()).length; } catch { /* a redirect has none */ }
    });
    for (const where of ['/', '/network', '/system', '/mesh', '/pairing', '/review']) await person.open(where);
    await person.page.waitForLoadState('networkidle');
    const total = Object.values(sizes).reduce((sum, size) => sum + size, 0);
    console.log('weight', JSON.stringify(sizes), total);
    assert.ok(total <= 100 * 1024, `all pages together weigh ${total} bytes`);
  },
};

const [name, text] = process.argv.slice(2);
if (!name) {
  console.log(Object.keys(cases).join('\n'));
} else {
  const given = JSON.parse(text);
  // Where the page is stands on the node's own screen while it is set up, and changes with a restart.
  let url;
  Object.defineProperty(given, 'url', {get: () => url = /open (http:\S+)/.exec(fs.readFileSync(given.console, 'utf8'))?.[1] ?? url});
  const browser = await launch(given);
  try {
    await cases[name](given, browser);
    console.log(`ok ${name}`);
  } finally {
    await browser.close();
  }
}
