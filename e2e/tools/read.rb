# Runs cases.rb: ruby read.rb WORK [READER...]
#
#   WORK/bin         the Step, the stand-in, and the readers that could be had, as programs
#   WORK/cannot      a line for each reader that could not be had: its name, a tab, why
#   READER...        only the cases of these
#
# For each case the Step runs, and envman reads back what it exported. The tool's own code then
# runs with that, and nothing else, as its environment, without a network where the system has a
# way to take it away. Prints a line for each case, and `N passed, N failed` at the end.

require 'etc'
require 'fileutils'
require 'jwt'
require 'json'
require 'net/http'
require 'open3'
require 'openssl'
require 'tmpdir'

require_relative 'cases'

WORK = File.realpath(ARGV.shift)
ONLY = ARGV.freeze
BIN = File.join(WORK, 'bin')
NOT_TO_BE_HAD = File.readlines(File.join(WORK, 'cannot'), chomp: true).to_h { |line| line.split("\t", 2) }.freeze
ALWAYS = %w[PATH HOME TMPDIR LANG].freeze

# Loopback included: a reader has nothing to ask anybody.
WITHOUT_NETWORK = [%w[unshare --net], %w[unshare --map-root-user --net]].find do |command|
  system(*command, 'true', out: File::NULL, err: File::NULL)
end.to_a.freeze

# --- The credentials --------------------------------------------------------------

def new_key(name)
  private_key, public_key = %w[p8 pem].map { |ending| File.join(WORK, "#{name}.#{ending}") }
  system(File.join(BIN, 'stand-in'), 'new-key', private_key, public_key, exception: true)
  OpenSSL::PKey.read(File.read(private_key))
end

# The key IDs are ones that YAML could take for numbers.
ISSUER = '69a6de7f-03bb-47e3-e053-5b8c7c11a4d1'
TEAM = 'TEAM123456'
KEYS = {
  team_key: { key_id: '1234567E12', issuer_id: ISSUER, key: new_key('team_key') },
  individual_key: { key_id: '0123456701', issuer_id: nil, key: new_key('individual_key') }
}.freeze
APPLE_ID = { apple_id: 'jane@example.com', password: %q(pa$$HOME "q" 'a' #c),
             app_password: 'abcd-efgh-ijkl-mnop' }.freeze

INPUTS = {
  team_key: { api_key_path: File.join(WORK, 'team_key.p8'), api_key_id: KEYS[:team_key][:key_id], api_issuer: ISSUER,
              team_id: TEAM },
  individual_key: { api_key_path: File.join(WORK, 'individual_key.p8'), api_key_id: KEYS[:individual_key][:key_id],
                    api_key_type: 'individual', team_id: TEAM },
  apple_id: APPLE_ID.merge(team_id: TEAM),
  apple_id_without_team: APPLE_ID
}.then { |inputs| inputs.merge(team_key_without_team: inputs[:team_key].except(:team_id)) }.freeze

# What a name of `given` is set to.
def value(name, kind, folder)
  key = KEYS[kind]
  case name
  when :key_path then INPUTS[kind][:api_key_path]
  when :key_reference then "@file:#{INPUTS[kind][:api_key_path]}"
  when :rcodesign_json
    fields = { key_id: key[:key_id], private_key: [key[:key].private_to_der].pack('m0') }
    fields[:issuer_id] = key[:issuer_id] if key[:issuer_id]
    File.join(folder, 'rcodesign.json').tap { |path| File.write(path, JSON.generate(fields)) }
  when :empty then ''
  else (key || {})[name] || APPLE_ID.fetch(name)
  end
end

# --- The Step ---------------------------------------------------------------------

def own_environment(folder)
  { 'PATH' => ENV.fetch('PATH'), 'LANG' => 'C.UTF-8', 'HOME' => File.join(folder, 'home'),
    'TMPDIR' => File.join(folder, 'tmp') }.each { |name, path| FileUtils.mkdir_p(path) if name =~ /HOME|TMPDIR/ }
end

Exported = Struct.new(:names, :log, :ok, keyword_init: true)

# What the default of `export_for` names, and all tools that are tested here, but not both of those
# that want one name with different values.
DEFAULT = %w[bitrise fastlane fastlane_api_key_path xcode].freeze
ALL = DEFAULT + %w[connection spaceship asc] + CASES.map(&:tool).compact.uniq
RIVALS = { 'tauri' => 'electron', 'electron' => 'tauri' }.freeze

# What the next Step's environment gets from this one.
def step(tools, kind, folder)
  envstore = File.join(folder, 'envstore.yml')
  File.write(envstore, '')
  environment = own_environment(folder).merge('ENVMAN_ENVSTORE_PATH' => envstore)
  inputs = INPUTS.fetch(kind).merge(connection: 'off', verify: 'no', build_annotation: 'never',
                                    export_for: tools.join(','))
  log, status = Open3.capture2e(environment.merge(inputs.transform_keys(&:to_s)),
                                File.join(BIN, 'apple-services-connection'), unsetenv_others: true, stdin_data: '')
  seen, = Open3.capture2(environment, 'envman', 'run', RbConfig.ruby, '-rjson', '-e', 'print ENV.to_h.to_json',
                         unsetenv_others: true)
  Exported.new(names: JSON.parse(seen).reject { |name, _| ALWAYS.include?(name) || name == 'ENVMAN_ENVSTORE_PATH' },
               log: log, ok: status.success?)
end

# A warning is yellow.
def warned_of?(tool, log)
  log.scan(/\e\[33;1m(.*?)\e\[0m/m).flatten.any? { |warning| warning.match?(/\b#{Regexp.escape(tool)}\b/) }
end

# --- The readers ------------------------------------------------------------------

# What the tool's own code made of the environment. Two are equal when it made the same.
Outcome = Struct.new(:found, :refusal, :token, keyword_init: true) do
  def ==(other)
    refusal || other.refusal ? !refusal == !other.refusal : found == other.found
  end
end

def read(reader, names, folder)
  environment = own_environment(folder).merge(names)
  cwd = File.join(folder, 'cwd').tap { |path| FileUtils.mkdir_p(path) }
  output, problem, status = Open3.capture3(environment, *WITHOUT_NETWORK, File.join(BIN, reader.first), *reader.drop(1),
                                           chdir: cwd, unsetenv_others: true, stdin_data: '')
  return Outcome.new(refusal: problem + output) unless status.success?

  found = JSON.parse(output.lines.last, symbolize_names: true).compact
  found = of_notarytool(found[:notarytool]) if found[:notarytool]
  token = found.delete(:token) || (sign(found) if found[:key])
  found.merge!(of_token(token)) if token
  Outcome.new(found: found.reject { |name, _| name == :key }, token: token)
end

# The tool gives these to Apple's notarytool, which reads the key and signs.
def of_notarytool(arguments)
  options = arguments.drop_while { |argument| !argument.start_with?('--') }.each_cons(2).to_h
  { key: options['--key'] && File.read(options['--key']), key_id: options['--key-id'], issuer_id: options['--issuer'],
    apple_id: options['--apple-id'], app_password: options['--password'], team_id: options['--team-id'] }.compact
end

# As Apple's tools and servers do with a key that they are given.
def sign(found)
  who = found[:issuer_id] ? { iss: found[:issuer_id] } : { sub: 'user' }
  claims = who.merge(iat: Time.now.to_i, exp: Time.now.to_i + 600, aud: 'appstoreconnect-v1')
  JWT.encode(claims, OpenSSL::PKey.read(found[:key]), 'ES256', kid: found[:key_id], typ: 'JWT')
end

def of_token(token)
  claims, header = JWT.decode(token, nil, false)
  signer = KEYS.find do |_, key|
    JWT.decode(token, key[:key], true, algorithm: 'ES256')
  rescue JWT::DecodeError
    false
  end
  { key_id: header['kid'], issuer_id: claims['iss'], signer: signer&.first }.compact
end

ASKING = Mutex.new

# What the stand-in, in Apple's place, says to it: nil when it is good.
def judge(token, kind)
  uri = URI("#{ORIGIN}/asc/#{kind}/v1/apps?limit=1")
  ASKING.synchronize do
    answer = Net::HTTP.get_response(uri, 'Authorization' => "Bearer #{token}")
    return if answer.is_a?(Net::HTTPOK)

    JSON.parse(File.readlines(File.join(WORK, 'root', 'requests.jsonl')).last)['verdict']['refused']
  end
end

# --- A case -----------------------------------------------------------------------

def run_step(case_, folder)
  exported = step([*DEFAULT, *case_.tool], case_.kind, folder)
  raise "the Step failed:\n#{exported.log.lines.last(3).join}" unless exported.ok

  exported
end

def check_warning(case_, log)
  return if !case_.warned || warned_of?(case_.tool, log)

  raise "the Step does not say that #{case_.tool} cannot use it"
end

def run_case(case_, folder)
  exported = run_step(case_, folder)
  check_warning(case_, exported.log)
  names = exported.names
  names = names.merge(case_.given.transform_values { |name| value(name, case_.kind, folder) }) if case_.given
  outcome = read(case_.reader, names, folder)

  if case_.refuses
    raise "it was not refused, but made #{outcome.found.inspect} of it" unless outcome.refusal
    raise "it was refused in other words:\n#{outcome.refusal}" unless outcome.refusal.match?(case_.refuses)

    return "refused: #{outcome.refusal[case_.refuses]}"
  end
  raise "it was refused:\n#{outcome.refusal}" if outcome.refusal

  if case_.token_refused
    why = judge(outcome.token, case_.kind)
    raise "the token was accepted" unless why
    raise "the token was refused in other words: #{why}" unless why.match?(case_.token_refused)

    return "signs a token that Apple refuses: #{why}"
  end
  check_found(case_, outcome)
  check_names(case_, outcome, names, folder)
  check_company(case_, outcome, names, folder)
  "#{case_.kind == :apple_id ? 'Apple ID' : 'key'} taken from #{case_.takes.join(', ')}" \
    "#{'; token accepted' if outcome.token}"
end

def check_found(case_, outcome)
  known = APPLE_ID.merge(team_id: TEAM).merge(KEYS[case_.kind]&.slice(:key_id, :issuer_id) || {})
  case_.gives.each do |what|
    raise "#{what} is #{outcome.found[what].inspect}, not #{known[what].inspect}" if outcome.found[what] != known[what]
  end
  return unless KEYS.key?(case_.kind)

  raise 'no token' unless outcome.token

  why = judge(outcome.token, case_.kind)
  raise "the token was refused: #{why}" if why
end

# A name is taken when the tool comes to something else without it.
def check_names(case_, outcome, names, folder)
  without = ->(some) { read(case_.reader, names.reject { |name, _| some.include?(name) }, folder) }
  not_taken = case_.takes.select { |name| without.([name]) == outcome }
  raise "#{not_taken.join(', ')} makes no difference" if not_taken.any?

  others = names.keys - case_.takes
  return if without.(others) == outcome

  taken = others.reject { |name| without.([name]) == outcome }
  raise "these make a difference, too: #{taken.any? ? taken.join(', ') : others.join(', ')}"
end

# Nor does what the other tools get make a difference.
def check_company(case_, outcome, names, folder)
  company = step(ALL - [RIVALS.fetch(case_.tool, 'tauri')], case_.kind, folder)
  raise "the Step failed:\n#{company.log.lines.last(3).join}" unless company.ok
  return if read(case_.reader, company.names.merge(names), folder) == outcome

  raise "it makes something else of it beside #{(company.names.keys - names.keys).join(', ')}"
end

# --- The run ----------------------------------------------------------------------

def start_stand_in
  root = File.join(WORK, 'root')
  FileUtils.mkdir_p(File.join(root, 'apple'))
  KEYS.each do |kind, key|
    FileUtils.cp(File.join(WORK, "#{kind}.pem"), File.join(root, 'apple', "#{kind}.pem"))
    account = { public_key_path: "apple/#{kind}.pem", enterprise: false, **key.slice(:key_id, :issuer_id) }
    File.write(File.join(root, 'apple', "#{kind}.json"), JSON.generate(account))
  end
  FileUtils.rm_f(File.join(root, 'origin'))
  # It ends with its standard input, and so with this program.
  alive = IO.popen([File.join(BIN, 'stand-in'), '--root', root, '--token', 'unused'], 'w')
  100.times { File.size?(File.join(root, 'origin')) ? break : sleep(0.1) }
  [alive, File.read(File.join(root, 'origin')).chomp]
end

STAND_IN, ORIGIN = start_stand_in
TALKING = Mutex.new
VERSIONS = Hash.new do |known, reader|
  known[reader] = Open3.capture2(File.join(BIN, reader), '--version', stdin_data: '').first.strip
end

def title(case_)
  reader, *arguments = case_.reader
  version = VERSIONS[reader] unless NOT_TO_BE_HAD.key?(reader)
  what = [reader, version, *arguments].compact.join(' ')
  "#{what}, #{case_.kind.to_s.tr('_', ' ')}#{", #{case_.note}" if case_.note}"
end

def report(case_)
  reader = case_.reader.first
  raise "cannot be had: #{NOT_TO_BE_HAD[reader]}" if NOT_TO_BE_HAD.key?(reader)

  result = Dir.mktmpdir('case', WORK) { |folder| run_case(case_, folder) }
  ['ok      ', result, true]
rescue StandardError => e
  raise unless e.instance_of?(RuntimeError)

  ['FAILED  ', e.message.gsub("\n", "\n          | "), false]
end

chosen = CASES.select { |case_| ONLY.empty? || ONLY.include?(case_.reader.first) }
unknown = ONLY - CASES.map { |case_| case_.reader.first }
abort "there is no reader #{unknown.join(', ')}" if unknown.any?

queue = Queue.new
chosen.each { |case_| queue << case_ }
queue.close
passed = failed = 0
Array.new(Etc.nprocessors) do
  Thread.new do
    while (case_ = queue.pop)
      mark, result, ok = report(case_)
      TALKING.synchronize do
        ok ? passed += 1 : failed += 1
        puts "#{mark}#{title(case_)}: #{result}"
        $stdout.flush
      end
    end
  end
end.each(&:join)
STAND_IN.close
puts "#{passed} passed, #{failed} failed"
exit(failed.zero? && passed == chosen.length)
