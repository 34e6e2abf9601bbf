# Generates the files of the scenarios: ruby fixtures.rb ROOT
#
#   ROOT/connections/<name>.json   a connection, as Bitrise serves it
#   ROOT/files/<name>/<file>       a key file, which scenarios read from disk
#   ROOT/apple/<name>.json         an App Store Connect account with one key
#   ROOT/sessions/<name>.json      a session of App Store Connect's website
#   ROOT/annotations/page.json     the page of the build
#   ROOT/token                     the build's API token
#   ROOT/secrets.yml               the project's secrets, for `bitrise run --inventory`
#   ROOT/manifest.json             the credentials, for e2e/assert and verify_run.rb
#
# The stand-in can read the first five. All credentials are fake, and run.sh deletes them at the end.

require 'fileutils'
require 'http-cookie'
require 'json'
require 'openssl'
require 'securerandom'
require 'time'
require 'yaml'

ROOT = ARGV.fetch(0)

def write(path, content)
  path = File.join(ROOT, path)
  FileUtils.mkdir_p(File.dirname(path))
  File.write(path, content)
end

# --- API keys ---------------------------------------------------------------------

# Creates an API key. The key IDs below look like numbers to YAML, to test that they are quoted.
def api_key(key_id, issuer_id, enterprise: false)
  key = OpenSSL::PKey::EC.generate('prime256v1')
  { kind: 'api_key', key_id: key_id, issuer_id: issuer_id, enterprise: enterprise,
    pem: key.private_to_pem, public_pem: key.public_to_pem, sec1: key.to_pem }
end

connected_key  = api_key('1234567E12', '69a6de7f-03bb-47e3-e053-5b8c7c11a4d1')
enterprise_key = api_key('2345670123', '57246542-96fe-1a63-e053-0824d011072a', enterprise: true)
input_key      = api_key('0123456701', 'c055ca8c-e5a8-4836-b61d-aa5794eeb3f4')
individual_key = api_key('456789E012', nil)

# Bitrise sometimes sends only the base64 body.
def pem_body(pem)
  pem.lines[1..-2].join.delete("\n")
end

# --- Sessions ---------------------------------------------------------------------

# Values that a YAML parser, a shell, or fastlane's replacement of a literal \n could change.
HOSTILE_VALUES = [
  'a: b', ': ', 'a #b', '# comment', '"quoted', "'single", '"', "'", '""', "''",
  '{flow', '[flow', '}', ']', ',', '{}', '[]',
  'no', 'Yes', 'off', 'true', '~', 'null', '', '.inf', '.nan', '<<', '=',
  '0123', '0o17', '1_000', '0x1F', '0b11', '12e5', '1.5', '1:30:00', '2031-01-02', '-',
  'back\\nslash', '\\', '\\\\n', 'C:\\new\\table\\x41', 'ends in \\',
  'trailing  ', '  leading', ' ', '%percent', '@at', '`tick`', '!tag', '!!int 3',
  '&anchor', '*alias', '- item', '? key', '|', '>', '|-', '---', '...', '--- !x',
  '$HOME', '${HOME}', '$(id)', '%{x}', '"; exit 1; "',
  'ünïcödé ✓ 漢字 😀', "no-break\u00A0space", "line\u2028separator", "next\u0085line", "\uFEFFmark",
  'word ' * 60
].freeze

# The three cookies that fastlane requires, long enough to search for in logs, and one for 127.0.0.1, where the
# stand-in simulates App Store Connect's website.
def essential_cookies(tag)
  [
    { name: 'myacinfo', value: "DAWTKN-#{tag}-#{SecureRandom.alphanumeric(60)}", domain: 'apple.com', path: '/',
      secure: true, httponly: true, for_domain: true },
    { name: 'DES5c148586daa451e55afb017aa62418f91', value: "HSARMTKNSRVT-#{tag}-#{SecureRandom.alphanumeric(40)}/+==",
      domain: 'idmsa.apple.com', path: '/appleauth', secure: true, httponly: true, for_domain: true },
    { name: 'dqsid', value: "eyJhbGciOiJIUzI1NiJ9.#{tag}.#{SecureRandom.alphanumeric(40)}",
      domain: 'appstoreconnect.apple.com', path: '/', secure: true, httponly: false, for_domain: false },
    { name: 'itctx', value: "eyJjcCI6-#{tag}-#{SecureRandom.alphanumeric(40)}", domain: '127.0.0.1', path: '/',
      secure: false, httponly: true, for_domain: false }
  ]
end

def hostile_cookies
  HOSTILE_VALUES.each_with_index.map do |value, i|
    { name: format('h%02d', i), value: value, domain: 'idmsa.apple.com', path: i.even? ? '/' : '/appleauth/auth',
      secure: i % 3 != 0, httponly: i % 4 != 0, for_domain: i % 5 != 0 }
  end
end

# Bitrise omits `for_domain` if it is true.
def connection_cookies(cookies)
  cookies.map { |cookie| cookie[:for_domain] ? cookie.reject { |name, _| name == :for_domain } : cookie }
end

# The output of `fastlane spaceauth`, created with the same library: the content of its file if `multiline`,
# otherwise the line that it prints, with literal \n.
def spaceauth(cookies, multiline: false)
  yaml = cookies.map { |cookie| HTTP::Cookie.new(**cookie) }.to_yaml
  multiline ? yaml : "export FASTLANE_SESSION='#{yaml.gsub("\n", '\\n')}'"
end

# --- Apple IDs --------------------------------------------------------------------

EXPIRY = Time.at(Time.now.to_i + (20 * 24 * 60 * 60))

def rfc3339(time)
  time.utc.strftime('%Y-%m-%dT%H:%M:%SZ')
end

connected_apple_id = {
  kind: 'apple_id', user: 'connected@example.com',
  password: %q(  pa$$HOME: "q" 'a' #c \n ${PATH} %{x} @!*&ü✓  ),
  app_password: 'conn-ecte-dapp-pass',
  session: essential_cookies('connected') + hostile_cookies,
  expires_at: rfc3339(EXPIRY)
}
# Has a session that can be pasted: like Apple's, its cookies contain no spaces or quotes.
plain_apple_id = connected_apple_id.merge(session: essential_cookies('plain'))
# Has no two-factor session, and a password that YAML 1.1 would read as a number.
sessionless_apple_id = { kind: 'apple_id', user: 'sessionless@example.com', password: '1_000_000' }
pasted_session = essential_cookies('pasted')
pasted_session[0][:value] += ":#'~"
pasted_session[2][:value] = '0123456701234567'
input_apple_id = {
  kind: 'apple_id', user: 'input@example.com', password: %q( in$HOME: 'p' "w" \n # ), session: pasted_session
}
input_app_password = 'inpu-tapp-pass-word'

# --- Test devices -----------------------------------------------------------------

# As users register them: with stray spaces, a tab or a quote in the title, and one device twice.
connected_devices = [
  { id: 1, user_id: 7, device_identifier: " 00008030-001A2B3C4D5E6F70\n", title: "Jane's\tiPhone", device_type: 'ios' },
  { id: 2, user_id: 7, device_identifier: '00008030001a2b3c4d5e6f70', title: 'The same again', device_type: 'ios' },
  { id: 3, user_id: 8, device_identifier: 'A1B2C3D4-0000-1111-2222-333344445555', title: 'Build Mac', device_type: 'mac' },
  { id: 4, user_id: 8, device_identifier: 'f00d' * 10, title: 'Prototype 12.9" (new)', device_type: 'hologram' }
]
devices = [
  ['00008030-001A2B3C4D5E6F70', "Jane's iPhone", 'ios'],
  ['A1B2C3D4-0000-1111-2222-333344445555', 'Build Mac', 'mac'],
  ['f00d' * 10, 'Prototype 12.9" (new)', 'ios']
]

# --- The connections --------------------------------------------------------------

def key_fields(key, private_key: key[:pem])
  { key_id: key[:key_id], issuer_id: key[:issuer_id], private_key: private_key, is_enterprise_account: key[:enterprise] }
end

def apple_id_fields(apple_id, expiry:)
  fields = {
    apple_id: apple_id[:user], password: apple_id[:password], app_specific_password: apple_id[:app_password].to_s,
    connection_expiry_date: expiry && expiry.localtime('+02:00').iso8601(3)
  }
  return fields unless apple_id[:session]

  fields.merge(session_cookies: {
                 'https://idmsa.apple.com' => connection_cookies(apple_id[:session]),
                 'https://olympus.itunes.apple.com' => [
                   { name: 'elsewhere', value: 'unused-by-fastlane', domain: 'olympus.itunes.apple.com', path: '/' }
                 ]
               })
end

connected_key_fields = key_fields(connected_key).reject { |name, _| name == :is_enterprise_account }
without_app_password = connected_apple_id.reject { |name, _| name == :app_password }

{
  nothing: { unknown_field: [1], apple_id: '', password: '' },
  api_key: connected_key_fields,
  enterprise_api_key: key_fields(enterprise_key, private_key: pem_body(enterprise_key[:pem])),
  apple_id: apple_id_fields(connected_apple_id, expiry: EXPIRY),
  plain_apple_id: apple_id_fields(plain_apple_id, expiry: EXPIRY),
  sessionless_apple_id: apple_id_fields(sessionless_apple_id, expiry: nil),
  both: connected_key_fields.merge(apple_id_fields(without_app_password, expiry: EXPIRY)),
  api_key_with_devices: connected_key_fields.merge(test_devices: connected_devices)
}.each { |name, connection| write("connections/#{name}.json", JSON.generate(connection)) }

# --- Apple ------------------------------------------------------------------------

# Writes an account with this key. `behaviours` has one fault per request. `more`: other fields of the account.
def write_account(name, key, behaviours: nil, **more)
  write("apple/#{name}.pem", key[:public_pem])
  write("apple/#{name}.json", JSON.generate({ public_key_path: "apple/#{name}.pem", key_id: key[:key_id],
                                              issuer_id: key[:issuer_id], enterprise: key[:enterprise] }.merge(more)))
  write("apple/#{name}.json.behaviours.json", JSON.generate(behaviours)) if behaviours
end

input_key_of_an_enterprise = input_key.merge(enterprise: true)
write_account('connected_key', connected_key)
write_account('input_key', input_key)
write_account('individual_key', individual_key)
write_account('enterprise_key', enterprise_key)
write_account('input_key_of_an_enterprise', input_key_of_an_enterprise)
write_account('no_agreement', connected_key, team: { agreement_missing: true })
write_account('unknown_403', connected_key, behaviours: [{ status: {
                code: 403, body: JSON.generate(errors: [{ status: '403', code: 'FORBIDDEN.SOMETHING', title: 'No.', detail: 'This is forbidden for now.' }])
              } }])
write_account('with_app', connected_key, team: {
                apps: [{ id: '1600000001', bundle_id: 'com.example.app.watch', name: 'Watch' },
                       { id: '1600000002', bundle_id: 'com.example.app', name: 'App | <b>`one`</b>' }]
              })
write_account('cut_off', connected_key, behaviours: [{ forever: 'reset_before_answer' }])
write_account('captive_portal', connected_key, behaviours: ['html'])

# Writes a session of the website, which accepts exactly the cookies for its own host.
def write_session(name, apple_id, **more)
  cookies = apple_id[:session]
  more = { email_address: apple_id[:user] }.merge(more)
  own_cookies = cookies.select { |cookie| cookie[:domain] == '127.0.0.1' }
  write("sessions/#{name}.json", JSON.generate({ cookies: own_cookies.to_h { |cookie| cookie.values_at(:name, :value) } }.merge(more)))
end

write_session('connected_apple_id', connected_apple_id)
write_session('plain_apple_id', plain_apple_id)
write_session('input_apple_id', input_apple_id)
write_session('without_team', input_apple_id, provider: nil)

# --- The build's page -------------------------------------------------------------

page_token = SecureRandom.hex(16)
write('annotations/page.json', JSON.generate(token: page_token, build_slug: '5b1ee94e-3a5f-4b0e-9d5c-2c1f0a7c9d11'))

# --- The files --------------------------------------------------------------------

write("files/team/AuthKey_#{input_key[:key_id]}.p8", input_key[:pem])
write("files/sec1/AuthKey_#{input_key[:key_id]}.p8", input_key[:sec1].gsub("\n", "\r\n"))
write("files/individual/AuthKey_#{individual_key[:key_id]}.p8", individual_key[:pem])

# --- The project's secrets --------------------------------------------------------

token = SecureRandom.hex(16)
secrets = {
  BITRISE_BUILD_API_TOKEN: token,
  BITRISEIO_BITRISE_SERVICES_ACCESS_TOKEN: page_token,
  TEAM_API_KEY: input_key[:pem],
  TEAM_APPLE_ID: input_apple_id[:user],
  TEAM_PASSWORD: input_apple_id[:password],
  TEAM_APP_PASSWORD: input_app_password,
  TEAM_FASTLANE_SESSION: spaceauth(pasted_session),
  TEAM_FASTLANE_SESSION_FILE: spaceauth(pasted_session, multiline: true)
}
# JSON strings are valid YAML that every parser reads the same way. `is_expand: false` corresponds to the
# unchecked box "Replace variables in input": the CLI doesn't expand a `$` in a secret.
write('secrets.yml', "envs:\n" + secrets.map { |name, value|
  "- #{name}: #{value.to_json}\n  opts: { is_expand: false }\n"
}.join)
write('token', token)

# --- The manifest -----------------------------------------------------------------

keys = { connected_key: connected_key, enterprise_key: enterprise_key, input_key: input_key,
         input_key_of_an_enterprise: input_key_of_an_enterprise, individual_key: individual_key }
apple_ids = { connected_apple_id: connected_apple_id, plain_apple_id: plain_apple_id,
              sessionless_apple_id: sessionless_apple_id, input_apple_id: input_apple_id }

# Values that must not appear in any log, by name. Short values are left out, because they could appear by chance.
never_logged = { 'the build token' => token, 'the token of the page' => page_token, 'TEAM_APP_PASSWORD' => input_app_password }
keys.each do |name, key|
  # Each line of the key is a value of its own, so that a part of the key is found too.
  (key[:pem].lines + key[:sec1].lines).reject { |line| line.start_with?('-----') }.each_with_index do |line, i|
    never_logged["#{name}, part #{i}"] = line.chomp
  end
end
apple_ids.each do |name, apple_id|
  never_logged["#{name}, password"] = apple_id[:password]
  never_logged["#{name}, app-specific password"] = apple_id[:app_password]
  Array(apple_id[:session]).each { |cookie| never_logged["#{name}, cookie #{cookie[:name]}"] = cookie[:value] }
end
never_logged.reject! { |_, value| value.nil? || value.strip.length < 9 }

write('manifest.json', JSON.generate(
                         credentials: keys.merge(apple_ids), devices: devices, secrets: secrets,
                         never_logged: never_logged
                       ))
