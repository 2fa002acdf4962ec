// machine.mjs JSON: sets a machine up from a phone, with a code of the Portal, until it restarts. Started by test/os.
import {PHONE, Person, launch} from './browser.mjs';

const given = JSON.parse(process.argv[2]);
const browser = await launch(given);
const person = await Person.at(given, browser, PHONE);
await person.enter();
await person.follow('Start');
await person.sees('Network');
await person.answerNetwork();
await person.sees('System');
await person.answerSystem({password: given.password});
await person.sees('Mesh');
await person.press('Continue');
await person.sees('Portal');
await person.fill('Pairing code from the Portal', 'GOOD-machine');
await person.press('Pair');
await person.page.getByText('belongs to Ada Lovelace').waitFor();
await person.check('machine-paired');
await person.follow('Continue');
await person.sees('Review');
await person.press('Finish');
// The machine may be off before its last page has been asked for.
await person.sees(/Finishing|The node is configured/).catch(error => { if (!/net::ERR|Timeout/.test(String(error))) throw error; });
await browser.close();
