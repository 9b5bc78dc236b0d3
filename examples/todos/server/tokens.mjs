// Short tokens that say who somebody is: to weir serve, and to this backend's own writes.

import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { SignJWT, jwtVerify } from 'jose'

export class Tokens {
  static async create({ secretFile, lifetimeS }) {
    const tokens = new Tokens()
    // As weir serve reads it: without the end of its line.
    const secret = secretFile ? (await readFile(secretFile)).toString('latin1').replace(/\s+$/, '') : randomBytes(32).toString('hex')
    tokens.key = Buffer.from(secret, 'latin1')
    tokens.lifetimeS = lifetimeS
    return tokens
  }

  async sign(subject) {
    const token = await new SignJWT({}).setProtectedHeader({ alg: 'HS256' }).setSubject(subject).setIssuedAt().setExpirationTime(`${this.lifetimeS}s`).sign(this.key)
    return { token, lifetime: this.lifetimeS }
  }

  /** Of the header Authorization; rejects when there is no good token in it. */
  async subject(header = '') {
    const { payload } = await jwtVerify(header.replace(/^Bearer /, ''), this.key, { algorithms: ['HS256'] })
    return payload.sub
  }
}
